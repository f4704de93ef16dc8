// The inner loops of the rANS encoder: plain data only, as in table_set_view.h and for the same reason.
#pragma once

#include <cstddef>
#include <cstdint>

#include "rans/bit_writer.h"
#include "rans/table_set_view.h"

namespace edgecodec {

// Kernels write up to this many words in front of those that they produce.
constexpr size_t kEncoderPadding = 1;

// No symbol has more side bits.
constexpr size_t kMaxSideBits = 20;

struct SideWriter {
    BitWriter bits;
    int32_t refused;  // the last distance that no escape carries, or 0
};

// Puts the side bits of those of up to 32 symbols that have their bit in `special`, in their order: raw bits or escapes.
void put_side_bits(const TableSetView &tables, const uint8_t *table_of_symbol, const int16_t *symbols, uint32_t special,
                   SideWriter &side);

// The intervals of `count` symbols, start in the low half and frequency in the high one, and their side bits.
using FindIntervals = void (*)(const TableSetView &tables, const uint8_t *table_of_symbol, const int16_t *symbols,
                               size_t count, uint32_t *intervals, SideWriter &side);

// The sum of the frequencies' logarithms as they are between powers of two if those are joined by straight lines, in
// 2^-13: at most, and by no more than kLogarithmSlack a symbol less than, the true ones.
using SumLogarithms = uint64_t (*)(const uint32_t *intervals, size_t count);
constexpr unsigned kLogarithmBits = 13;
constexpr uint64_t kLogarithmSlack = 706;

// Codes rows of one symbol a lane, the last row first. Words are put in front of `words`, at most one a symbol; returns
// the place of the latest.
using EncodeRows = uint16_t *(*)(const uint32_t *intervals, size_t rows, unsigned lanes, uint32_t *lane,
                                 uint16_t *words);

void find_intervals_scalar(const TableSetView &tables, const uint8_t *table_of_symbol, const int16_t *symbols,
                           size_t count, uint32_t *intervals, SideWriter &side);
void find_channel_intervals_scalar(const TableSetView &tables, const uint16_t *table_of_symbol, const int16_t *symbols,
                                   size_t count, uint32_t *intervals, SideWriter &side);
uint16_t *encode_rows_scalar(const uint32_t *intervals, size_t rows, unsigned lanes, uint32_t *lane, uint16_t *words);

uint64_t sum_logarithms_scalar(const uint32_t *intervals, size_t count);

// Codes rows of 2 or 8 lanes from the end of `rows` ones as long as there are at most `room` words; returns how many.
size_t encode_ramp(const uint32_t *intervals, size_t rows, unsigned lanes, uint32_t *lane, size_t room,
                   uint16_t *&words);

// The same for intervals out of 2^16: symbol i of `count` is on lane i mod lanes, and a ramp has 2 or 8 of them.
uint16_t *encode_intervals(const uint32_t *intervals, size_t count, unsigned lanes, uint32_t *lane, uint16_t *words);
size_t encode_interval_ramp(const uint32_t *intervals, size_t rows, unsigned lanes, uint32_t *lane, size_t room,
                            uint16_t *&words);

// SIMD kernels want a set with a ladder, or at least 32 lanes.
void find_intervals_avx512(const TableSetView &tables, const uint8_t *table_of_symbol, const int16_t *symbols,
                           size_t count, uint32_t *intervals, SideWriter &side);
uint64_t sum_logarithms_avx512(const uint32_t *intervals, size_t count);
uint16_t *encode_rows_avx512(const uint32_t *intervals, size_t rows, unsigned lanes, uint32_t *lane, uint16_t *words);

}  // namespace edgecodec
