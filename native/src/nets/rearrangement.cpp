#include "nets/rearrangement.h"

#include <cstring>
#include <vector>

namespace edgecodec {

ActivationLayout Rearrangement::input_layout(Shape) const {
    return {false, 0, input_channels_ * sizeof(int16_t), 0, 0, 0};
}

void Rearrangement::read_channels(ByteReader &reader) {
    input_channels_ = reader.u16();
    if (input_channels_ == 0) reader.fail("has a layer without channels");
}

PixelShuffle::PixelShuffle(ByteReader &reader, Interval bounds) : Rearrangement(bounds), factor_(reader.u8()) {
    read_channels(reader);
    if (factor_ == 0 || input_channels() % (factor_ * factor_) != 0) {
        reader.fail("has a pixel shuffle whose channels do not fill squares");
    }
}

std::optional<Sides> PixelShuffle::output_sides(const Sides &input) const {
    const auto scaled = [factor = static_cast<int64_t>(factor_)](Side side) {
        return Side{side.per_unit * factor, side.constant * factor};
    };
    return Sides{scaled(input.rows), scaled(input.columns)};
}

void PixelShuffle::run(const Activation &input, Shape output_shape, const LayerOutput &output, unsigned) const {
    const size_t squares = factor_ * factor_;
    std::vector<int16_t> values(output_channels());
    for (size_t y = 0; y < output_shape.rows; ++y) {
        for (size_t x = 0; x < output_shape.columns; ++x) {
            const uint8_t *source = input.at(static_cast<int64_t>(y / factor_), static_cast<int64_t>(x / factor_));
            const size_t first = y % factor_ * factor_ + x % factor_;
            for (size_t c = 0; c < values.size(); ++c) {
                std::memcpy(&values[c], source + (first + c * squares) * sizeof values[c], sizeof values[c]);
            }
            output.values.put(y, x, 0, values.data(), values.size());
        }
    }
}

Crop::Crop(ByteReader &reader, Interval bounds)
    : Rearrangement(bounds), top_(reader.u8()), left_(reader.u8()), bottom_(reader.u8()), right_(reader.u8()) {
    read_channels(reader);
}

std::optional<Sides> Crop::output_sides(const Sides &input) const {
    const Side rows{input.rows.per_unit, input.rows.constant - top_ - bottom_};
    const Side columns{input.columns.per_unit, input.columns.constant - left_ - right_};
    if (rows.smallest() < 1 || columns.smallest() < 1) return std::nullopt;
    return Sides{rows, columns};
}

void Crop::run(const Activation &input, Shape output_shape, const LayerOutput &output, unsigned) const {
    std::vector<int16_t> values(input_channels());
    for (size_t y = 0; y < output_shape.rows; ++y) {
        for (size_t x = 0; x < output_shape.columns; ++x) {
            std::memcpy(values.data(), input.at(static_cast<int64_t>(y) + top_, static_cast<int64_t>(x) + left_),
                        values.size() * sizeof values[0]);
            output.values.put(y, x, 0, values.data(), values.size());
        }
    }
}

}  // namespace edgecodec
