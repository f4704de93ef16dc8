// Layers of an integer net that move values without changing them (docs/format.md, section 3).
#pragma once

#include <cstddef>
#include <cstdint>

#include "nets/layer.h"
#include "support/byte_reader.h"

namespace edgecodec {

// Keeps the bounds of the values, and reads them as words without zero padding.
class Rearrangement : public IntegerLayer {
public:
    size_t input_channels() const final { return input_channels_; }
    Interval output() const final { return bounds_; }
    ActivationLayout input_layout(Shape input) const final;

protected:
    explicit Rearrangement(Interval bounds) : bounds_(bounds) {}
    void read_channels(ByteReader &reader);

private:
    Interval bounds_;
    size_t input_channels_ = 0;
};

// Depth to space: channel (c * factor + i) * factor + j goes to channel c, row y * factor + i, column x * factor + j.
class PixelShuffle final : public Rearrangement {
public:
    // Throws Failure(EC_BAD_MODEL) if the layer breaks a rule of the format.
    PixelShuffle(ByteReader &reader, Interval bounds);

    size_t output_channels() const override { return input_channels() / (factor_ * factor_); }
    std::optional<Sides> output_sides(const Sides &input) const override;
    void run(const Activation &input, Shape output_shape, const LayerOutput &output, unsigned threads) const override;

private:
    size_t factor_;
};

// Cuts rows and columns off at each side.
class Crop final : public Rearrangement {
public:
    // Throws Failure(EC_BAD_MODEL) if the layer breaks a rule of the format.
    Crop(ByteReader &reader, Interval bounds);

    size_t output_channels() const override { return input_channels(); }
    std::optional<Sides> output_sides(const Sides &input) const override;
    void run(const Activation &input, Shape output_shape, const LayerOutput &output, unsigned threads) const override;

private:
    int64_t top_, left_, bottom_, right_;
};

}  // namespace edgecodec
