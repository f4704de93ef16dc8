// Writes bits into bytes, lowest bit first. Plain data and static functions, for the reason given in table_set_view.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace edgecodec {

struct BitWriter {
    uint8_t *next;  // up to eight bytes more than needed may be written here
    uint64_t pending;
    unsigned pending_bits;  // below 8 between two calls
};

// At most 48 bits; the bits of `value` above them are zero.
static inline void put_bits(BitWriter &writer, uint64_t value, unsigned bits) {
    writer.pending |= value << writer.pending_bits;
    writer.pending_bits += bits;
    std::memcpy(writer.next, &writer.pending, sizeof writer.pending);
    writer.next += writer.pending_bits / 8;
    writer.pending >>= writer.pending_bits & ~7u;
    writer.pending_bits &= 7;
}

// Pads with zero bits to a whole byte.
static inline void finish_bits(BitWriter &writer) {
    if (writer.pending_bits > 0) put_bits(writer, 0, 8 - writer.pending_bits);
}

}  // namespace edgecodec
