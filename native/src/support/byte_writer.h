// Little-endian writing, the counterpart of byte_reader.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace edgecodec {

inline void put_u32(std::vector<uint8_t> &out, uint32_t value) {
    for (int shift = 0; shift < 32; shift += 8) out.push_back(static_cast<uint8_t>(value >> shift));
}

// Unsigned LEB128 in its shortest form.
inline void put_varint(std::vector<uint8_t> &out, size_t value) {
    for (; value >= 128; value >>= 7) out.push_back(static_cast<uint8_t>(value | 128));
    out.push_back(static_cast<uint8_t>(value));
}

}  // namespace edgecodec
