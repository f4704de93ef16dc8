// A mixture of normal distributions in integer arithmetic (docs/format.md, section 3, "mixture"): intervals of its
// values out of 2^16.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "rans/decoder.h"
#include "rans/encoder.h"
#include "support/byte_reader.h"

namespace edgecodec {

struct MixtureRule {
    // Throws Failure with the reader's status.
    static MixtureRule parse(ByteReader &reader);

    unsigned components, mean_fraction, scale_fraction, least_scale, reach, tail_fraction;
    std::vector<uint16_t> tail;    // mass of a normal distribution beyond i * 2^-tail_fraction, in 2^-16
    std::vector<uint16_t> weight;  // indexed by the largest logit minus the component's
};

constexpr unsigned kMaxComponents = 16;

class Mixture {
public:
    explicit Mixture(const MixtureRule &rule) : rule_(rule) {}

    // Sets means, scales and logits of the components: parameter i is at parameters[i * step].
    void set(const int16_t *parameters, size_t step);

    int16_t decode(RansDecoder &decoder) const;
    void encode(RansEncoder &encoder, int16_t value) const;

private:
    uint64_t mass_below(int32_t value) const;
    uint32_t start(int32_t value) const;

    struct Component {
        int32_t mean;
        uint32_t scale, weight;
    };

    const MixtureRule &rule_;
    Component component_[kMaxComponents];  // those with a weight above 0
    unsigned count_ = 0;
    uint32_t total_weight_ = 1;
    int32_t lowest_ = 0, highest_ = 0;  // values from lowest to highest have intervals
    uint64_t mass_below_lowest_ = 0;
};

}  // namespace edgecodec
