// A frozen network of integer convolutions (docs/format.md, section 3, "net"): from int16 values to int16 values, or to
// table indices. Once parsed it cannot overflow, and its results depend neither on the kernels nor on the threads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "nets/layer.h"
#include "support/byte_reader.h"
#include "support/cost.h"

namespace edgecodec {

class IntegerNet {
public:
    // The net keeps the kernels in use when it is parsed. Throws Failure(EC_BAD_MODEL) for a net that breaks the
    // format, or that an input within its bounds could overflow.
    static IntegerNet parse(ByteReader &reader);

    int input_channels() const { return static_cast<int>(layers_.front()->input_channels()); }
    int output_channels() const { return static_cast<int>(layers_.back()->output_channels()); }
    int16_t input_low() const { return input_.low; }
    int16_t input_high() const { return input_.high; }
    Interval output() const { return layers_.back()->output(); }  // bounds of values
    bool gives_indices() const { return layers_.back()->thresholds() > 0; }
    bool pointwise() const;                                                            // every position by itself
    int thresholds() const { return static_cast<int>(layers_.back()->thresholds()); }  // 0 for a net that gives values

    // Throws Failure: EC_INVALID_ARGUMENT for no input, EC_BAD_MODEL where a layer has no output for it, EC_LIMIT where
    // an activation would exceed 2^31 values.
    Shape output_shape(Shape shape) const;

    // The same for all sizes of a picture at once. Empty if some size has no output, or if the output's size is not a
    // Side.
    std::optional<Sides> output_sides(Sides sides) const;

    // Of a run. Throws as output_shape does.
    Cost cost(Shape shape) const;

    // input: (rows, columns, channels), every value within input_low() and input_high().
    // Output: into `indices` (channels, rows, columns) for a net that computes indices, else into `values` (rows,
    // columns, channels).
    // threads: 1 or more, an upper limit. Throws as output_shape does.
    void run(const int16_t *input, Shape shape, uint8_t *indices, int16_t *values, unsigned threads) const;

private:
    IntegerNet() = default;

    Interval input_ = {};
    std::vector<std::unique_ptr<const IntegerLayer>> layers_;
};

}  // namespace edgecodec
