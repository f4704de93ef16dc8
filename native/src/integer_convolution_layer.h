// One layer of an integer net: read, proved safe, and packed for the kernels (docs/format.md, section 3).
//
// Both kinds of layer run as ordinary small convolutions in gather form. A transposed convolution with stride s is s by
// s of them, its phases: the outputs whose rows (and columns) are equal modulo s see the same rows (and columns) of the
// kernel. A convolution has one phase.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "byte_reader.h"
#include "integer_convolution.h"

namespace edgecodec {

// Inclusive bounds of an activation.
struct Interval {
    int16_t low, high;
};

// What the outputs of one phase see along one dimension: output phase + i * phases sees taps.size() inputs from
// start + i * step on, which are outside of the input where it is padded with zeros.
struct PhaseAxis {
    int64_t start;
    int64_t step;
    std::vector<uint32_t> taps;  // rows (or columns) of the kernel that meet these inputs
};

class IntegerLayer {
public:
    // Throws Failure(EC_BAD_MODEL) if the layer breaks a rule of the format, or if an accumulator could leave 32 bits
    // for some input inside `input`.
    IntegerLayer(ByteReader &reader, Interval input);

    size_t input_channels() const { return input_channels_; }
    size_t output_channels() const { return output_channels_; }
    Interval output() const { return output_; }           // bounds of values
    size_t thresholds() const { return thresholds_; }     // 0 where the layer gives values
    size_t multiplications(size_t outputs) const;         // of that many positions, about

    // Kernels are square, so that rows and columns share the geometry.
    const std::vector<PhaseAxis> &axes() const { return axes_; }  // by phase
    int64_t output_side(int64_t side) const;                      // 0 or less where nothing comes out
    int64_t zeros_before() const;
    int64_t zeros_after(int64_t side) const;

    // Packed for the kernels.
    size_t channel_pairs() const { return (input_channels_ + 1) / 2; }
    size_t blocks() const { return (output_channels_ + kBlockChannels - 1) / kBlockChannels; }
    const int32_t *bias(size_t block) const { return bias_.data() + block * kBlockChannels; }
    const int16_t *weights(size_t row_phase, size_t column_phase, size_t block) const;
    const RequantiseBlock &requantisation(size_t block) const { return requantisation_[block]; }
    ThresholdTrees trees(size_t block) const;

private:
    void read_geometry(ByteReader &reader);
    void read_weights(ByteReader &reader, Interval input);
    void read_requantisation(ByteReader &reader);
    void read_thresholds(ByteReader &reader);

    bool transposed_ = false;
    int64_t kernel_ = 0, stride_ = 0, padding_ = 0, output_padding_ = 0;
    size_t weight_bytes_ = 0, input_channels_ = 0, output_channels_ = 0, thresholds_ = 0;
    Interval output_{0, 0};
    std::vector<PhaseAxis> axes_;
    std::vector<int32_t> bias_;
    std::vector<std::vector<int16_t>> weights_;  // by row phase, then column phase
    std::vector<RequantiseBlock> requantisation_;
    std::vector<int32_t> trees_;
};

}  // namespace edgecodec
