// The container of a coded picture's payload (docs/format.md, section 1). Parsing needs no model and allocates nothing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "edgecodec/core.h"

namespace edgecodec {

// Tag of the section that holds the seed of the generator's noise, 8 bytes, little-endian. A picture without has seed 0.
constexpr uint32_t kNoiseSeedTag = 128;
constexpr uint32_t kNoiseSeedSize = 8;
// Quality is stored in this fraction of a level.
constexpr uint32_t kQualitySteps = 64;

// Throws Failure: EC_NOT_EDGC, EC_VERSION, EC_CORRUPT.
ec_core_container parse_container(const uint8_t *data, size_t size);

// Throws Failure(EC_INVALID_ARGUMENT) where a field is out of its range.
std::vector<uint8_t> write_container(const ec_core_container &head, const uint8_t *const *sections,
                                     const uint8_t *payload);

}  // namespace edgecodec
