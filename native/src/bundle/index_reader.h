// The bytes of index.bin (docs/format.md, section 6).
#pragma once

#include <cstddef>
#include <cstdint>

#include "bundle/index_storage.h"

namespace edgecodec {

// Fills in an empty description. Throws Failure: EC_VERSION for another schema, EC_NOT_A_BUNDLE for all else, with the
// byte and the field.
void read_index(const uint8_t *data, size_t size, IndexStorage &out);

}  // namespace edgecodec
