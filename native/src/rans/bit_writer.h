// Bits into bytes, lowest first. Plain data and functions of this file alone, as in table_set_view.h and for the same
// reason.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace edgecodec {

struct BitWriter {
    uint8_t *next;  // where eight bytes more than are needed may be written
    uint64_t pending;
    unsigned pending_bits;  // below 8 between two calls
};

// At most 48 bits; `value` has none above them.
static inline void put_bits(BitWriter &writer, uint64_t value, unsigned bits) {
    writer.pending |= value << writer.pending_bits;
    writer.pending_bits += bits;
    std::memcpy(writer.next, &writer.pending, sizeof writer.pending);
    writer.next += writer.pending_bits / 8;
    writer.pending >>= writer.pending_bits & ~7u;
    writer.pending_bits &= 7;
}

// Zero bits to a whole byte.
static inline void finish_bits(BitWriter &writer) {
    if (writer.pending_bits > 0) put_bits(writer, 0, 8 - writer.pending_bits);
}

}  // namespace edgecodec
