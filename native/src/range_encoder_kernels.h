// The inner loops of the range encoder: plain data only, as in table_set_view.h and for the same reason.
#pragma once

#include <cstddef>
#include <cstdint>

#include "table_set_view.h"

namespace edgecodec {

// A symbol's interval is its start in the low half and its frequency in the high one.

// One bit each for so many symbols.
constexpr size_t kSpecialGroup = 32;

// Kernels write whole vectors of words, the last of which may begin below the place they return: so many words in front
// of the room that symbols need are writable.
constexpr size_t kEncoderPadding = 32;

// Intervals of `count` symbols. Bit i of special[g] is set where symbol 32 g + i needs side bits.
using FindIntervals = void (*)(const TableSetView &tables, const uint8_t *table_of_symbol, const int16_t *symbols,
                               size_t count, uint32_t *intervals, uint32_t *special);

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
                           size_t count, uint32_t *intervals, uint32_t *special);
void find_channel_intervals_scalar(const TableSetView &tables, const uint16_t *table_of_symbol, const int16_t *symbols,
                                   size_t count, uint32_t *intervals, uint32_t *special);
uint16_t *encode_rows_scalar(const uint32_t *intervals, size_t rows, unsigned lanes, uint32_t *lane, uint16_t *words);

uint64_t sum_logarithms_scalar(const uint32_t *intervals, size_t count);

// Codes rows of 2 or 8 lanes from the end of `rows` ones as long as there are at most `room` words; returns how many.
size_t encode_ramp(const uint32_t *intervals, size_t rows, unsigned lanes, uint32_t *lane, size_t room,
                   uint16_t *&words);

// SIMD kernels want a set with a ladder, or at least 32 lanes.
void find_intervals_avx512(const TableSetView &tables, const uint8_t *table_of_symbol, const int16_t *symbols,
                           size_t count, uint32_t *intervals, uint32_t *special);
uint64_t sum_logarithms_avx512(const uint32_t *intervals, size_t count);
uint16_t *encode_rows_avx512(const uint32_t *intervals, size_t rows, unsigned lanes, uint32_t *lane, uint16_t *words);

}  // namespace edgecodec
