#include "runtime/noise.h"

#include <string>

#include "support/status.h"

namespace edgecodec {

namespace {

constexpr uint64_t kMostValues = 16;  // of a pixel

constexpr uint64_t kStep = 0x9E3779B97F4A7C15;
constexpr int kMean = 24570;  // of a sum of twelve integers from 0 to 4095
// Every other one of the four 12-bit integers in a word's top 48 bits: sums of six of them have 24 bits of room.
constexpr uint64_t kEveryOther = 0x000FFF000FFF;

// The finaliser of SplitMix64.
uint64_t mix(uint64_t word) {
    word = (word ^ (word >> 30)) * 0xBF58476D1CE4E5B9;
    word = (word ^ (word >> 27)) * 0x94D049BB133111EB;
    return word ^ (word >> 31);
}

uint64_t pairs_of_sums(uint64_t word) { return (word >> 16 & kEveryOther) + (word >> 28 & kEveryOther); }

}  // namespace

void check_noise(uint32_t channels, uint32_t stride) {
    if (channels <= kMostValues * stride * stride) return;
    throw Failure(EC_BAD_MODEL, std::to_string(channels) + " planes of noise, with one value every " +
                                    std::to_string(stride) + " pixels, are more than " + std::to_string(kMostValues) +
                                    " values a pixel");
}

std::vector<int16_t> normal_noise(uint64_t seed, size_t count) {
    std::vector<int16_t> noise(count);
    const uint64_t start = mix(seed);
    for (size_t i = 0; i < count; ++i) {
        const uint64_t state = start + 3 * uint64_t{i} * kStep;
        const uint64_t sums = pairs_of_sums(mix(state + kStep)) + pairs_of_sums(mix(state + 2 * kStep)) +
                              pairs_of_sums(mix(state + 3 * kStep));
        noise[i] = static_cast<int16_t>(static_cast<int>((sums & 0xFFFFFF) + (sums >> 24)) - kMean);
    }
    return noise;
}

}  // namespace edgecodec
