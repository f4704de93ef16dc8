// Noise for generators, from a seed: the same integers on every machine, so that a file names its picture.
//
// Every value is a sum of twelve uniform 12-bit integers, centred. By the central limit theorem that is close to normal,
// with mean 0 and a standard deviation of sqrt(4096^2 - 1): the unit normal in units of 1/4096, and always inside int16.
// The uniform integers are the top 48 bits, twelve at a time, of three words of SplitMix64 (Steele, Lea, Flood 2014).
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace edgecodec {

// Throws Failure(EC_BAD_MODEL) for planes that would take more memory for a pixel than an entropy model may: 16 values a
// pixel. Known generators take an eighth of one.
void check_noise(uint32_t channels, uint32_t stride);

// `count` values within -24570..24570. Value i uses words 3i, 3i + 1 and 3i + 2 of the sequence whose state starts at
// mix(seed).
std::vector<int16_t> normal_noise(uint64_t seed, size_t count);

}  // namespace edgecodec
