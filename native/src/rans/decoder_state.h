// The state that the rANS decoder and its kernels share between calls: plain data, for the reason given in
// table_set_view.h.
#pragma once

#include <cstddef>
#include <cstdint>

#include "rans/table_set_view.h"

namespace edgecodec {

constexpr unsigned kMaxLanes = 64;
constexpr uint32_t kStateLow = 1u << 16;  // states are in [2^16, 2^32)

// Readable bytes after the words: a kernel checks for the end of the words once per row of lanes, and may load one
// vector beyond a row.
constexpr size_t kWordPadding = 2 * kMaxLanes + 64;

// Readable bytes before the side stream, which is read up to 64 bytes at a time, towards lower addresses.
constexpr size_t kSidePadding = 64;

enum class DecodeFault : uint8_t { none, words_missing, side_bits_missing, escape_too_long, value_too_large };

struct DecoderState {
    uint32_t lane[kMaxLanes];
    const uint8_t *words;                // the next word
    const uint8_t *words_end;            // `words` beyond it is a fault
    const uint8_t *side_end;             // side byte k lies at side_end[-1 - k]
    uint64_t side_position, side_limit;  // in bits
    DecodeFault fault;                   // decoding continues, without harm, to the end of the call
};

// The distance that the next escape in the side stream stands for.
int32_t escaped_distance(DecoderState &state);

// The value of a special rank, read from the side stream and checked.
int16_t complete_symbol(const TableSetView &tables, unsigned table, unsigned rank, DecoderState &state);

// The same, in order, for those of up to 32 symbols whose bit in `special` is set.
void complete_symbols(const TableSetView &tables, const uint8_t *table_of_symbol, const uint8_t *ranks,
                      uint32_t special, int16_t *symbols, DecoderState &state);

// Decodes `count` symbols, symbol i on lane i mod lanes. All kernels give the same symbols and the same state. After a
// fault the symbols are unspecified, but no access leaves its buffer.
using DecodeIndexed = void (*)(const TableSetView &tables, const uint8_t *table_of_symbol, int16_t *symbols,
                               size_t count, unsigned lanes, DecoderState &state);

void decode_indexed_scalar(const TableSetView &tables, const uint8_t *table_of_symbol, int16_t *symbols, size_t count,
                           unsigned lanes, DecoderState &state);
void decode_channels_scalar(const TableSetView &tables, const uint16_t *table_of_symbol, int16_t *symbols, size_t count,
                            unsigned lanes, DecoderState &state);

// SIMD kernels require a set with a ladder and at least 32 lanes.
void decode_indexed_avx2(const TableSetView &tables, const uint8_t *table_of_symbol, int16_t *symbols, size_t count,
                         unsigned lanes, DecoderState &state);
void decode_indexed_avx512(const TableSetView &tables, const uint8_t *table_of_symbol, int16_t *symbols, size_t count,
                           unsigned lanes, DecoderState &state);
void decode_indexed_neon(const TableSetView &tables, const uint8_t *table_of_symbol, int16_t *symbols, size_t count,
                         unsigned lanes, DecoderState &state);

// The same on 2 or 8 lanes, fast where nearly every symbol has its table's first rank, as on most ramps. The SIMD
// kernel requires a set with a ladder.
void decode_sparse_scalar(const TableSetView &tables, const uint8_t *table_of_symbol, int16_t *symbols, size_t count,
                          unsigned lanes, DecoderState &state);
void decode_sparse_avx2(const TableSetView &tables, const uint8_t *table_of_symbol, int16_t *symbols, size_t count,
                        unsigned lanes, DecoderState &state);

}  // namespace edgecodec
