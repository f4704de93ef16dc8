#include "model/mixture.h"

#include <algorithm>
#include <cstdlib>

#include "support/status.h"

namespace edgecodec {
namespace {

constexpr int32_t kWidestWindow = 254;

}  // namespace

MixtureRule MixtureRule::parse(ByteReader &reader) {
    MixtureRule rule;
    rule.components = reader.u8();
    rule.mean_fraction = reader.u8();
    rule.scale_fraction = reader.u8();
    rule.least_scale = reader.u16();
    rule.reach = reader.u8();
    rule.tail_fraction = reader.u8();
    if (rule.components < 1 || rule.components > kMaxComponents || rule.mean_fraction < 1 || rule.mean_fraction > 14 ||
        rule.scale_fraction > 14 || rule.least_scale < 1 || rule.reach < 1 || rule.reach > 16 ||
        rule.tail_fraction > 10) {
        reader.fail("has a mixture with a number out of range");
    }
    rule.tail = reader.u16s(reader.u16());
    if (rule.tail.size() < 2 || rule.tail.front() > 32768 || !std::is_sorted(rule.tail.rbegin(), rule.tail.rend())) {
        reader.fail("has a mixture whose tail does not fall from 32768 or less");
    }
    rule.weight = reader.u16s(reader.u16());
    if (rule.weight.empty() || rule.weight.front() == 0) {
        reader.fail("has a mixture whose first weight is missing or 0");
    }
    return rule;
}

void Mixture::set(const int16_t *parameters, size_t step) {
    const auto parameter = [&](unsigned component, unsigned which) {
        return int32_t{parameters[(3 * component + which) * step]};
    };
    int32_t largest_logit = INT16_MIN;
    for (unsigned k = 0; k < rule_.components; ++k) largest_logit = std::max(largest_logit, parameter(k, 2));

    const int64_t half = int64_t{1} << (rule_.mean_fraction - 1);
    int64_t lowest = INT64_MAX, highest = INT64_MIN;
    count_ = 0;
    total_weight_ = 0;
    for (unsigned k = 0; k < rule_.components; ++k) {
        const size_t below = static_cast<size_t>(largest_logit - parameter(k, 2));
        const uint32_t weight = rule_.weight[std::min(below, rule_.weight.size() - 1)];
        if (weight == 0) continue;
        const int32_t mean = parameter(k, 0), signed_scale = parameter(k, 1);
        const uint32_t scale =
            std::max(static_cast<uint32_t>(signed_scale < 0 ? -signed_scale : signed_scale), rule_.least_scale);
        const int64_t reach = (int64_t{rule_.reach} * scale << rule_.mean_fraction) >> rule_.scale_fraction;
        lowest = std::min(lowest, (mean - reach + half) >> rule_.mean_fraction);
        highest = std::max(highest, (mean + reach + half) >> rule_.mean_fraction);
        component_[count_++] = {mean, scale, weight};
        total_weight_ += weight;
    }
    if (highest - lowest > kWidestWindow) {
        const int64_t middle = (lowest + highest) >> 1;
        lowest = middle - kWidestWindow / 2;
        highest = middle + kWidestWindow / 2;
    }
    lowest_ = static_cast<int32_t>(lowest);
    highest_ = static_cast<int32_t>(highest);
    mass_below_lowest_ = mass_below(lowest_);
}

// In units of 2^-16, times the total weight.
uint64_t Mixture::mass_below(int32_t value) const {
    const unsigned fraction = rule_.tail_fraction + 8 + rule_.scale_fraction;
    const uint64_t last = rule_.tail.size() - 1;
    uint64_t mass = 0;
    for (unsigned k = 0; k < count_; ++k) {
        const Component &component = component_[k];
        const int64_t distance = (2 * int64_t{value} - 1) * (int64_t{1} << (rule_.mean_fraction - 1)) - component.mean;
        // At most 30 bits, so that it fits 63 bits when shifted.
        const uint64_t magnitude = static_cast<uint64_t>(std::abs(distance));
        const uint64_t place =
            std::min((magnitude << fraction) / (uint64_t{component.scale} << rule_.mean_fraction), last << 8);
        const uint32_t tail = rule_.tail[place >> 8], next = rule_.tail[std::min((place >> 8) + 1, last)];
        const uint32_t beyond = tail - (((tail - next) * static_cast<uint32_t>(place & 255) + 128) >> 8);
        mass += uint64_t{component.weight} * (distance < 0 ? beyond : 65536 - beyond);
    }
    return mass;
}

// The start of a value's interval. That of highest + 1 is the start of the escape's.
uint32_t Mixture::start(int32_t value) const {
    const uint32_t values = static_cast<uint32_t>(highest_ - lowest_) + 2;
    const uint64_t share = ((mass_below(value) - mass_below_lowest_) * (65536 - values)) >> 16;
    return static_cast<uint32_t>(share / total_weight_) + static_cast<uint32_t>(value - lowest_);
}

int16_t Mixture::decode(RansDecoder &decoder) const {
    const uint32_t slot = decoder.slot();
    const uint32_t escape = start(highest_ + 1);
    if (slot >= escape) {
        decoder.take(escape, 65536 - escape);
        const int32_t value = lowest_ + decoder.decode_escape();
        if (value < INT16_MIN || value > INT16_MAX || (value >= lowest_ && value <= highest_)) {
            throw Failure(EC_CORRUPT, "holds an escape to a latent that needs none, or beyond 16 bits");
        }
        return static_cast<int16_t>(value);
    }
    int32_t low = lowest_, beyond = highest_ + 1;
    uint32_t low_start = 0, beyond_start = escape;
    while (beyond - low > 1) {
        const int32_t middle = (low + beyond) >> 1;
        const uint32_t middle_start = start(middle);
        if (slot < middle_start) {
            beyond = middle;
            beyond_start = middle_start;
        } else {
            low = middle;
            low_start = middle_start;
        }
    }
    decoder.take(low_start, beyond_start - low_start);
    return static_cast<int16_t>(low);
}

void Mixture::encode(RansEncoder &encoder, int16_t value) const {
    if (value >= lowest_ && value <= highest_) {
        const uint32_t begin = start(value);
        encoder.add_interval(begin, start(value + 1) - begin);
        return;
    }
    const uint32_t escape = start(highest_ + 1);
    encoder.add_interval(escape, 65536 - escape);
    encoder.add_escape(value - lowest_);
}

}  // namespace edgecodec
