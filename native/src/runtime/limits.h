// Limits on what is decoded or encoded, checked before anything of that size is allocated.
#pragma once

#include <cstdint>

#include "edgecodec/edgecodec.h"

namespace edgecodec {

// The caller's limits, with the defaults in place of zeros.
ec_limits with_defaults(const ec_limits &limits);

// These throw Failure(EC_LIMIT). Sizes are in pixels and bytes.
void check_picture_size(const ec_limits &limits, uint64_t width, uint64_t height);
void check_pixels_per_byte(const ec_limits &limits, uint64_t width, uint64_t height, uint64_t file_bytes);
void check_file_bytes(const ec_limits &limits, uint64_t file_bytes);

}  // namespace edgecodec
