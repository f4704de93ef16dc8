// What the rANS decoder and its kernels share between two calls: plain data, as in table_set_view.h and for the same
// reason.
#pragma once

#include <cstddef>
#include <cstdint>

#include "rans/table_set_view.h"

namespace edgecodec {

constexpr unsigned kMaxLanes = 64;
constexpr uint32_t kStateLow = 1u << 16;  // states are in [2^16, 2^32)

// A kernel compares its place in the words once per row of lanes, and may load one vector beyond a row: so many bytes
// behind the words are readable.
constexpr size_t kWordPadding = 2 * kMaxLanes + 64;

// The side stream is read up to 64 bytes at a time, towards lower addresses: so many bytes before it are readable.
constexpr size_t kSidePadding = 64;

enum class DecodeFault : uint8_t { none, words_missing, side_bits_missing, escape_too_long, value_too_large };

struct DecoderState {
    uint32_t lane[kMaxLanes];
    const uint8_t *words;                // the next word
    const uint8_t *words_end;            // beyond it, `words` is a fault
    const uint8_t *side_end;             // side byte k lies at side_end[-1 - k]
    uint64_t side_position, side_limit;  // in bits
    DecodeFault fault;                   // the first one; decoding goes on harmlessly to the end of the call
};

// What an escape in the side stream stands for.
int32_t escaped_distance(DecoderState &state);

// The value of a special rank: from the side stream, and checked.
int16_t complete_symbol(const TableSetView &tables, unsigned table, unsigned rank, DecoderState &state);

// The same for those of up to 32 symbols that have their bit in `special`, in their order.
void complete_symbols(const TableSetView &tables, const uint8_t *table_of_symbol, const uint8_t *ranks,
                      uint32_t special, int16_t *symbols, DecoderState &state);

// Decodes `count` symbols, symbol i on lane i mod lanes. All kernels give the same symbols and the same state; after a
// fault they give anything, within bounds.
using DecodeIndexed = void (*)(const TableSetView &tables, const uint8_t *table_of_symbol, int16_t *symbols,
                               size_t count, unsigned lanes, DecoderState &state);

void decode_indexed_scalar(const TableSetView &tables, const uint8_t *table_of_symbol, int16_t *symbols, size_t count,
                           unsigned lanes, DecoderState &state);
void decode_channels_scalar(const TableSetView &tables, const uint16_t *table_of_symbol, int16_t *symbols, size_t count,
                            unsigned lanes, DecoderState &state);

// SIMD kernels want a set with a ladder and at least 32 lanes.
void decode_indexed_avx2(const TableSetView &tables, const uint8_t *table_of_symbol, int16_t *symbols, size_t count,
                         unsigned lanes, DecoderState &state);
void decode_indexed_avx512(const TableSetView &tables, const uint8_t *table_of_symbol, int16_t *symbols, size_t count,
                           unsigned lanes, DecoderState &state);
void decode_indexed_neon(const TableSetView &tables, const uint8_t *table_of_symbol, int16_t *symbols, size_t count,
                         unsigned lanes, DecoderState &state);

// The same on 2 or 8 lanes, fast where nearly every symbol is of its table's first rank, as on most ramps. The SIMD kernel
// wants a set with a ladder.
void decode_sparse_scalar(const TableSetView &tables, const uint8_t *table_of_symbol, int16_t *symbols, size_t count,
                          unsigned lanes, DecoderState &state);
void decode_sparse_avx2(const TableSetView &tables, const uint8_t *table_of_symbol, int16_t *symbols, size_t count,
                        unsigned lanes, DecoderState &state);

}  // namespace edgecodec
