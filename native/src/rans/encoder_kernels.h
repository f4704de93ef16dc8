// The inner loops of the rANS encoder: plain data only, for the reason given in table_set_view.h.
#pragma once

#include <cstddef>
#include <cstdint>

#include "rans/bit_writer.h"
#include "rans/table_set_view.h"

namespace edgecodec {

// Kernels may write up to this many words before those that they produce.
constexpr size_t kEncoderPadding = 1;

// No symbol has more side bits.
constexpr size_t kMaxSideBits = 20;

struct SideWriter {
    BitWriter bits;
    int32_t refused;  // the last distance that no escape carries, or 0
};

// Writes, in order, the side bits (raw bits or escapes) of those of up to 32 symbols whose bit in `special` is set.
void put_side_bits(const TableSetView &tables, const uint8_t *table_of_symbol, const int16_t *symbols, uint32_t special,
                   SideWriter &side);

// Finds the intervals of `count` symbols, start in the low half and frequency in the high one, and writes their side
// bits.
using FindIntervals = void (*)(const TableSetView &tables, const uint8_t *table_of_symbol, const int16_t *symbols,
                               size_t count, uint32_t *intervals, SideWriter &side);

// The sum of the logarithms of the frequencies, in 2^-13, interpolated linearly between powers of two. It is at most
// the true sum, and less by at most kLogarithmSlack a symbol.
using SumLogarithms = uint64_t (*)(const uint32_t *intervals, size_t count);
constexpr unsigned kLogarithmBits = 13;
constexpr uint64_t kLogarithmSlack = 706;

// Codes rows of one symbol a lane, the last row first. Writes words before `words`, at most one a symbol, and returns
// the address of the latest.
using EncodeRows = uint16_t *(*)(const uint32_t *intervals, size_t rows, unsigned lanes, uint32_t *lane,
                                 uint16_t *words);

void find_intervals_scalar(const TableSetView &tables, const uint8_t *table_of_symbol, const int16_t *symbols,
                           size_t count, uint32_t *intervals, SideWriter &side);
void find_channel_intervals_scalar(const TableSetView &tables, const uint16_t *table_of_symbol, const int16_t *symbols,
                                   size_t count, uint32_t *intervals, SideWriter &side);
uint16_t *encode_rows_scalar(const uint32_t *intervals, size_t rows, unsigned lanes, uint32_t *lane, uint16_t *words);

uint64_t sum_logarithms_scalar(const uint32_t *intervals, size_t count);

// Codes rows of 2 or 8 lanes, the last of `rows` first, while that makes at most `room` words. Returns their number.
size_t encode_ramp(const uint32_t *intervals, size_t rows, unsigned lanes, uint32_t *lane, size_t room,
                   uint16_t *&words);

// The same for intervals out of 2^16. Symbol i of `count` is on lane i mod lanes; a ramp has 2 or 8 lanes.
uint16_t *encode_intervals(const uint32_t *intervals, size_t count, unsigned lanes, uint32_t *lane, uint16_t *words);
size_t encode_interval_ramp(const uint32_t *intervals, size_t rows, unsigned lanes, uint32_t *lane, size_t room,
                            uint16_t *&words);

// SIMD kernels require a set with a ladder, or at least 32 lanes.
void find_intervals_avx512(const TableSetView &tables, const uint8_t *table_of_symbol, const int16_t *symbols,
                           size_t count, uint32_t *intervals, SideWriter &side);
uint64_t sum_logarithms_avx512(const uint32_t *intervals, size_t count);
uint16_t *encode_rows_avx512(const uint32_t *intervals, size_t rows, unsigned lanes, uint32_t *lane, uint16_t *words);

}  // namespace edgecodec
