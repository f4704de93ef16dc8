// A convolution of an integer net, or a transposed one: read, proved safe, and packed for the kernels that will run it
// (docs/format.md, section 3).
//
// Both run as ordinary small convolutions in gather form. A transposed convolution with stride s is s by s of them, its
// phases: outputs whose rows (and columns) are equal modulo s use the same rows (and columns) of the kernel. A
// convolution has one phase.
//
// Activations are words, unless the weights are bytes, the range of the input fits a byte, and the processor multiplies
// bytes faster. Then activations and their zero padding are stored as unsigned bytes, value + offset, and the bias is
// lowered by what the offset adds to every sum.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "nets/convolution_kernels.h"
#include "nets/layer.h"
#include "support/aligned_vector.h"
#include "support/byte_reader.h"

namespace edgecodec {

class ConvolutionLayer final : public IntegerLayer {
public:
    // Throws Failure(EC_BAD_MODEL) if the layer breaks a rule of the format, or if an accumulator could leave 32 bits
    // for some input inside `input`.
    ConvolutionLayer(ByteReader &reader, bool transposed, Interval input, const ConvolutionKernels &kernels);

    size_t input_channels() const override { return input_channels_; }
    size_t output_channels() const override { return output_channels_; }
    Interval output() const override { return output_; }
    size_t thresholds() const override { return thresholds_; }
    bool pointwise() const override { return kernel_ == 1; }
    std::optional<Sides> output_sides(const Sides &input) const override;
    ActivationLayout input_layout(Shape input) const override;
    uint64_t multiplications(Shape output_shape) const override;
    void run(const Activation &input, Shape output_shape, const LayerOutput &output, unsigned threads) const override;

private:
    // The inputs of one phase along one dimension: output phase + i * phases uses taps.size() inputs from start + i *
    // step on, some of which may lie in the zero padding. Kernels are square, so rows and columns share the geometry.
    struct PhaseAxis {
        int64_t start;
        int64_t step;
        std::vector<uint32_t> taps;  // rows (or columns) of the kernel for these inputs
    };

    struct Phase {
        std::vector<int32_t> bias;
        AlignedVector<uint8_t> weights;
    };

    class RawWeights;
    class Run;

    void read_geometry(ByteReader &reader);
    void read_weights(ByteReader &reader, Interval input);
    void choose_layout(Interval input);
    Phase packed(const std::vector<int32_t> &bias, const RawWeights &weights, const PhaseAxis &rows,
                 const PhaseAxis &columns) const;
    void read_epilogue(ByteReader &reader);
    void read_requantisation(ByteReader &reader);
    void read_table(ByteReader &reader);
    void read_thresholds(ByteReader &reader);

    std::optional<Side> output_side(Side input) const;
    size_t zeros_before() const;
    size_t zeros_after(size_t inputs) const;

    size_t blocks() const { return (output_channels_ + kBlockChannels - 1) / kBlockChannels; }
    size_t group_values() const { return bytes_ ? kGroupBytes : kGroupBytes / 2; }
    size_t groups() const { return (input_channels_ + group_values() - 1) / group_values(); }  // of a position
    ThresholdTrees trees(size_t block) const;

    const ConvolutionKernels *kernels_;
    bool transposed_;
    int64_t kernel_ = 0, stride_ = 0, padding_ = 0, output_padding_ = 0;
    size_t weight_bytes_ = 0, input_channels_ = 0, output_channels_ = 0, thresholds_ = 0;
    bool bytes_ = false;
    uint8_t offset_ = 0;
    Interval output_{0, 0};
    std::vector<PhaseAxis> axes_;  // by phase
    std::vector<Phase> phases_;    // by row phase, then column phase
    std::vector<RequantiseBlock> requantisation_;
    std::vector<int16_t> table_;  // indexed from the lowest requantised value; empty without a table
    std::vector<int32_t> trees_;
};

}  // namespace edgecodec
