#include "model/label_map.h"

namespace edgecodec {
namespace {

unsigned power_of_two_from(unsigned classes) {
    unsigned power = 1;
    while (power < classes) power *= 2;
    return power;
}

}  // namespace

LabelModel::LabelModel(size_t columns, unsigned classes)
    : columns_(columns),
      classes_(classes),
      span_(power_of_two_from(classes)),
      window_(3 * (columns + 2 * kMargin)),
      by_values_(size_t{1} << kValueBits),
      by_shape_(size_t{kNearest} << kShapeBits),
      by_class_((1 + classes) * span_) {
    here_ = window_.data() + kMargin;
    above_ = here_ + columns + 2 * kMargin;
    two_above_ = above_ + columns + 2 * kMargin;
}

void LabelModel::begin_row() {
    uint8_t *const oldest = two_above_;
    two_above_ = above_;
    above_ = here_;
    here_ = oldest;
    std::fill_n(above_ - kMargin, kMargin, above_[0]);
    std::fill_n(above_ + columns_, kMargin, above_[columns_ - 1]);
    std::fill_n(here_ - kMargin, kMargin, above_[0]);
}

}  // namespace edgecodec
