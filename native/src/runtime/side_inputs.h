// Encoder latents that a caller gives beside the picture: label maps, and masks of what is to be kept.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "edgecodec/edgecodec.h"

namespace edgecodec {

// A plane of the picture's size, row_stride bytes from row to row (0: width); data NULL where there is none.
struct SidePlane {
    const uint8_t *data;
    size_t row_stride;
};

// Throws Failure for what the model does not take (EC_KNOB_UNAVAILABLE), and for labels that are missing or no class
// (EC_INVALID_ARGUMENT).
void check_side_inputs(const ec_model &model, uint32_t width, uint32_t height, SidePlane labels, SidePlane mask);

// The latent (1, rows, columns) of labels, over the whole grid: beyond the picture's edge labels repeat.
std::vector<int16_t> label_latent(const SidePlane &labels, uint32_t width, uint32_t height, uint32_t rows,
                                  uint32_t columns);

// The latent (1, rows, columns) of a mask, one value every `stride` pixels: 1 if any pixel of the cell is kept. Beyond
// the picture's edge nothing is. Without data everything is kept.
std::vector<int16_t> mask_latent(const SidePlane &mask, uint32_t width, uint32_t height, uint32_t rows,
                                 uint32_t columns, uint32_t stride);

}  // namespace edgecodec
