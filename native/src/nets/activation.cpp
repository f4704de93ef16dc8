#include "nets/activation.h"

#include <cstring>

namespace edgecodec {

namespace {

// uint8_t may alias anything; __restrict permits vectorising.
void narrow(uint8_t *__restrict target, const int16_t *__restrict values, size_t count, int offset) {
    for (size_t i = 0; i < count; ++i) target[i] = static_cast<uint8_t>(values[i] + offset);
}

}  // namespace

void ActivationTarget::put(size_t y, size_t x, size_t channel, const int16_t *values, size_t count) const {
    uint8_t *target = first + y * row_step + x * position_step;
    if (bytes) {
        narrow(target + channel, values, count, offset);
    } else {
        std::memcpy(target + channel * sizeof *values, values, count * sizeof *values);
    }
}

Activation::Activation(const ActivationLayout &layout, Shape shape)
    : layout_(layout),
      row_step_((layout.zeros_before + shape.columns + layout.columns_after) * layout.position_step),
      inside_(layout.zeros_before * (row_step_ + layout.position_step)),
      values_((layout.zeros_before + shape.rows + layout.rows_after) * row_step_, layout.offset) {}

}  // namespace edgecodec
