// Padding of a picture for the encoder, and the decoder's pixels as the file stores them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "edgecodec/edgecodec.h"

namespace edgecodec {

// `side` rounded up to a multiple of `alignment`.
uint32_t aligned(uint32_t side, uint32_t alignment);

// Length of a side of a picture after padding for the analysis graph, in pixels.
uint32_t encoder_side(uint32_t side, const ec_model &model);

// Throws Failure(EC_OUT_OF_RANGE) for a picture too small for the networks. The grid of the latents follows from the
// size of the picture alone, so a picture may be padded to the smallest side only where that leaves the grid as it is.
void check_room(uint32_t width, uint32_t height, const ec_model &model);

// uint8 (rows, columns, 3) for an encoder: the picture padded below and to the right, grey spread over three channels.
// EC_REFLECT: a side of n pixels reflects with period 2n - 2, so that it works however small the picture; a single pixel
// repeats. EC_GREY: the graph knows the picture's size and overwrites the padding.
std::vector<uint8_t> padded(const ec_image &image, uint32_t rows, uint32_t columns, ec_padding rule);

// Copies a part of a decoder's uint8 (rows, columns, 3), of `row_stride` bytes a row, into the caller's pixels.
// channels 1: the mean of the three, rounded. grey: three channels that all hold that mean.
void store_pixels(const uint8_t *from, size_t from_row_stride, uint8_t *to, size_t to_row_stride, uint32_t rows,
                  uint32_t columns, uint32_t channels, bool grey);

}  // namespace edgecodec
