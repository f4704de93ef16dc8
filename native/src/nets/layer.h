// A layer of an integer net, as the net sees it: what it takes, what it gives, and how large that is.
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

// The rows, or the columns, of a tensor: per_unit * units + constant, where the units are those of a picture's size, 1
// or more. A number alone has nothing per unit.
struct Side {
    int64_t per_unit, constant;

    int64_t smallest() const { return per_unit + constant; }
    bool operator!=(Side other) const { return per_unit != other.per_unit || constant != other.constant; }
};

struct Sides {
    Side rows, columns;
};

// Where a layer writes: indices (channels, rows, columns) if it gives any, else values.
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
    virtual size_t thresholds() const { return 0; }  // of a layer that gives indices, from 0 to so many

    // Whether every position of the output depends on the same position of the input alone.
    virtual bool pointwise() const { return false; }

    // Nothing where an output has no size for some input, or one that is not of the form of a Side.
    virtual std::optional<Sides> output_sides(const Sides &input) const = 0;

    virtual ActivationLayout input_layout(Shape input) const = 0;

    // `input` is laid out so and holds values within the bounds that the layer was proved for. Threads split rows.
    virtual void run(const Activation &input, Shape output_shape, const LayerOutput &output,
                     unsigned threads) const = 0;
};

}  // namespace edgecodec
