// A layer of an integer net, as the net sees it: its input, its output, and their shapes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "nets/activation.h"

namespace edgecodec {

// Inclusive bounds of an activation.
struct Interval {
    int16_t low, high;
};

// The rows, or the columns, of a tensor as a function of the picture's size: per_unit * units + constant, where a
// picture has 1 or more units. A fixed number has per_unit 0.
struct Side {
    int64_t per_unit, constant;

    int64_t smallest() const { return per_unit + constant; }
    bool operator!=(Side other) const { return per_unit != other.per_unit || constant != other.constant; }
};

struct Sides {
    Side rows, columns;
};

// Where a layer writes: indices (channels, rows, columns) if it computes indices, else values.
struct LayerOutput {
    ActivationTarget values;
    uint8_t *indices;
};

class IntegerLayer {
public:
    virtual ~IntegerLayer() = default;

    virtual size_t input_channels() const = 0;
    virtual size_t output_channels() const = 0;
    virtual Interval output() const = 0;             // bounds of values
    virtual size_t thresholds() const { return 0; }  // indices run from 0 to this number; 0: the layer computes values

    // Whether every position of the output depends on the same position of the input alone.
    virtual bool pointwise() const { return false; }

    // Empty if for some input there is no output, or if the output's size is not a Side.
    virtual std::optional<Sides> output_sides(const Sides &input) const = 0;

    virtual ActivationLayout input_layout(Shape input) const = 0;

    // About as many as a run takes for this shape of its output.
    virtual uint64_t multiplications(Shape output) const { return output.rows * output.columns * output_channels(); }

    // `input` has the layout of input_layout and values within the bounds that the layer was proved for. Threads share
    // the rows.
    virtual void run(const Activation &input, Shape output_shape, const LayerOutput &output,
                     unsigned threads) const = 0;
};

}  // namespace edgecodec
