// Tensors between the layers of an integer net: rows of positions, channels innermost, in the layout that the next
// layer reads.
#pragma once

#include <cstddef>
#include <cstdint>

#include "support/aligned_vector.h"

namespace edgecodec {

struct Shape {
    size_t rows, columns;
};

// How the input of a layer is stored.
struct ActivationLayout {
    bool bytes;                        // unsigned bytes, which are value + offset; else 16-bit words
    uint8_t offset;                    // 0 for words
    size_t position_step;              // bytes from a position to the next
    size_t zeros_before;               // rows above and columns before the first, zeros for windows to read
    size_t rows_after, columns_after;  // zeros at the other two sides
};

// Where a layer writes: a tensor, or the inside of one that is padded with zeros.
struct ActivationTarget {
    uint8_t *first;
    size_t row_step, position_step;  // bytes
    bool bytes;
    uint8_t offset;

    // Writes `count` values of adjacent channels, from `channel` on.
    void put(size_t y, size_t x, size_t channel, const int16_t *values, size_t count) const;
};

class Activation {
public:
    // Filled with zeros.
    Activation(const ActivationLayout &layout, Shape shape);

    // Negative positions, and those beyond the shape, lie in the padding.
    const uint8_t *at(int64_t y, int64_t x) const {
        return values_.data() + static_cast<int64_t>(inside_) + y * static_cast<int64_t>(row_step_) +
               x * static_cast<int64_t>(layout_.position_step);
    }
    size_t row_step() const { return row_step_; }
    size_t position_step() const { return layout_.position_step; }
    ActivationTarget inside() {
        return {values_.data() + inside_, row_step_, layout_.position_step, layout_.bytes, layout_.offset};
    }

private:
    ActivationLayout layout_;
    size_t row_step_, inside_;
    AlignedVector<uint8_t> values_;
};

}  // namespace edgecodec
