// The inner loops of the encoder with AVX-512 (BW, VBMI2).
#include <immintrin.h>

#include "rans/encoder_kernels.h"

namespace edgecodec {
namespace {

constexpr unsigned kGroup = 32;

inline __m512i load(const void *from) { return _mm512_loadu_si512(from); }
inline __m256i load_half(const void *from) { return _mm256_loadu_si256(static_cast<const __m256i *>(from)); }
inline void store(void *to, __m512i value) { _mm512_storeu_si512(to, value); }

inline __m512i look_up(const uint16_t *row, __m512i table) {
    return _mm512_permutex2var_epi16(load(row), table, load(row + 32));
}

inline unsigned largest_of(__m512i values) {
    // There is an instruction for the smallest of eight words.
    const __m256i half = _mm256_max_epu16(_mm512_castsi512_si256(values), _mm512_extracti64x4_epi64(values, 1));
    const __m128i quarter = _mm_max_epu16(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
    const __m128i smallest = _mm_minpos_epu16(_mm_xor_si128(quarter, _mm_set1_epi8(-1)));
    return 65535 - static_cast<unsigned>(_mm_extract_epi16(smallest, 0));
}

// Ranks of values, not yet limited to the ranks of their tables. Those of large values are only large, not exact.
inline __m512i ranks_of(__m512i values) {
    const __m512i size = _mm512_min_epu16(_mm512_abs_epi16(values), _mm512_set1_epi16(kMaxRanks));
    const __m512i twice = _mm512_add_epi16(size, size);
    const __mmask32 positive = _mm512_cmpgt_epi16_mask(values, _mm512_setzero_si512());
    return _mm512_mask_sub_epi16(twice, positive, twice, _mm512_set1_epi16(1));
}

// The part of a symbol that the rank codes: (symbol + half) >> bits, without a sum that could overflow.
inline __m512i without_raw_bits(__m512i symbols, __m512i bits) {
    const __m512i one = _mm512_set1_epi16(1);
    const __mmask32 some = _mm512_test_epi16_mask(bits, bits);
    const __m512i next_bit = _mm512_and_si512(_mm512_srav_epi16(symbols, _mm512_sub_epi16(bits, one)), one);
    const __m512i floor = _mm512_srav_epi16(symbols, bits);
    return _mm512_mask_add_epi16(floor, some, floor, next_bit);
}

// Four symbols at a time: one instruction gathers their bits from fields of 16 bits.
inline void put_raw_bits(__m512i symbols, __m512i bits, BitWriter &writer) {
    const __m512i one = _mm512_set1_epi16(1), width = _mm512_sllv_epi16(one, bits);
    alignas(64) uint64_t fields[8], masks[8];
    _mm512_store_si512(fields, _mm512_add_epi16(symbols, _mm512_srli_epi16(width, 1)));
    _mm512_store_si512(masks, _mm512_sub_epi16(width, one));
    for (unsigned i = 0; i < 8; ++i) {
        put_bits(writer, _pext_u64(fields[i], masks[i]), static_cast<unsigned>(_mm_popcnt_u64(masks[i])));
    }
}

inline void store_intervals(__m512i start, __m512i end, uint32_t *intervals) {
    const __m512i frequency = _mm512_sub_epi16(end, start);
    const __m512i low = _mm512_unpacklo_epi16(start, frequency), high = _mm512_unpackhi_epi16(start, frequency);
    store(intervals, _mm512_permutex2var_epi64(low, _mm512_setr_epi64(0, 1, 8, 9, 2, 3, 10, 11), high));
    store(intervals + 16, _mm512_permutex2var_epi64(low, _mm512_setr_epi64(4, 5, 12, 13, 6, 7, 14, 15), high));
}

}  // namespace

// Climbs the ladder of the decoder, since every rank's interval ends at its threshold and starts at the one before. The
// number of rungs changes from row to row; many symbols and several rungs at a time leave fewer branches to mispredict.
void find_intervals_avx512(const TableSetView &tables, const uint8_t *table_of_symbol, const int16_t *symbols,
                           size_t count, uint32_t *intervals, SideWriter &side) {
    constexpr unsigned kGroups = 4, kRungs = 4;
    const __m512i one = _mm512_set1_epi16(1);
    size_t i = 0;
    for (; i + kGroups * kGroup <= count; i += kGroups * kGroup) {
        __m512i table[kGroups], rank[kGroups], start[kGroups], end[kGroups];
        __m512i largest = _mm512_setzero_si512();
        for (unsigned g = 0; g < kGroups; ++g) {
            const __m256i bytes = load_half(table_of_symbol + i + kGroup * g);
            table[g] = _mm512_cvtepu8_epi16(bytes);
            __m512i values = load(symbols + i + kGroup * g);
            const __mmask32 raw = _mm256_cmpge_epu8_mask(bytes, _mm256_set1_epi8(static_cast<char>(tables.first_raw)));
            if (raw != 0) values = without_raw_bits(values, look_up(tables.raw_bits, table[g]));
            const __m512i escapes = _mm512_permutexvar_epi8(_mm512_castsi256_si512(bytes), load(tables.escapes));
            const __m512i escape = _mm512_cvtepu8_epi16(_mm512_castsi512_si256(escapes));
            const __m512i wanted = ranks_of(values);
            const __mmask32 escaped = _mm512_cmpge_epu16_mask(wanted, escape);
            if (__builtin_expect(escaped != 0, 0)) {
                put_side_bits(tables, table_of_symbol + i + kGroup * g, symbols + i + kGroup * g, raw | escaped, side);
            } else if (raw != 0) {
                put_raw_bits(load(symbols + i + kGroup * g), look_up(tables.raw_bits, table[g]), side.bits);
            }
            rank[g] = _mm512_min_epu16(wanted, escape);
            largest = _mm512_max_epu16(largest, rank[g]);
            start[g] = _mm512_setzero_si512();
            end[g] = look_up(tables.ladder, table[g]);
        }

        const uint16_t *rung = tables.ladder;
        for (unsigned rungs = 0, all = largest_of(largest); rungs < all; rungs += kRungs) {
            for (unsigned k = 0; k < kRungs; ++k) {
                rung += kLadderTables;
                for (unsigned g = 0; g < kGroups; ++g) {
                    const __mmask32 above = _mm512_test_epi16_mask(rank[g], rank[g]);
                    rank[g] = _mm512_subs_epu16(rank[g], one);
                    start[g] = _mm512_mask_mov_epi16(start[g], above, end[g]);
                    end[g] = _mm512_mask_mov_epi16(end[g], above, look_up(rung, table[g]));
                }
            }
        }
        for (unsigned g = 0; g < kGroups; ++g) store_intervals(start[g], end[g], intervals + i + kGroup * g);
    }
    find_intervals_scalar(tables, table_of_symbol + i, symbols + i, count - i, intervals + i, side);
}

uint64_t sum_logarithms_avx512(const uint32_t *intervals, size_t count) {
    // The sum of this many logarithms fits the 32 bits of a lane.
    constexpr size_t kBlock = 16 * 1024;
    uint64_t total = 0;
    size_t i = 0;
    while (i + 16 <= count) {
        const size_t end = i + (count - i < kBlock ? count - i : kBlock);
        __m512i sums = _mm512_setzero_si512();
        for (; i + 16 <= end; i += 16) {
            const __m512i frequency = _mm512_srli_epi32(load(intervals + i), 16);
            const __m512i bits = _mm512_castps_si512(_mm512_cvtepi32_ps(frequency));
            sums = _mm512_add_epi32(sums, _mm512_sub_epi32(_mm512_srli_epi32(bits, 23 - kLogarithmBits),
                                                           _mm512_set1_epi32(127 << kLogarithmBits)));
        }
        const __m512i wide = _mm512_add_epi64(_mm512_cvtepu32_epi64(_mm512_castsi512_si256(sums)),
                                              _mm512_cvtepu32_epi64(_mm512_extracti64x4_epi64(sums, 1)));
        total += static_cast<uint64_t>(_mm512_reduce_add_epi64(wide));
    }
    return total + sum_logarithms_scalar(intervals + i, count - i);
}

namespace {

// (lane / frequency << 14) + lane % frequency + start, for sixteen lanes that are low enough that no word is due.
inline __m512i advanced(__m512i lane, __m512i interval) {
    constexpr int kDown = _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC;
    const __m512i start = _mm512_and_si512(interval, _mm512_set1_epi32(65535));
    const __m512i frequency = _mm512_srli_epi32(interval, 16);
    // A quotient is below 2^18, and its estimate, rounded down throughout, is less than 2^-5 below it. Truncated, the
    // estimate is right or one too small, and the remainder shows which.
    const __m512 estimate =
        _mm512_div_round_ps(_mm512_cvt_roundepu32_ps(lane, kDown), _mm512_cvtepi32_ps(frequency), kDown);
    const __m512i quotient = _mm512_cvttps_epi32(estimate);
    const __m512i remainder = _mm512_sub_epi32(lane, _mm512_mullo_epi32(quotient, frequency));
    const __mmask16 too_small = _mm512_cmpge_epu32_mask(remainder, frequency);
    const __m512i scaled = _mm512_slli_epi32(quotient, kProbabilityBits);
    const __m512i next = _mm512_add_epi32(_mm512_add_epi32(scaled, remainder), start);
    return _mm512_mask_add_epi32(next, too_small, next,
                                 _mm512_sub_epi32(_mm512_set1_epi32(kProbabilitySum), frequency));
}

inline __mmask16 words_due(__m512i lane, __m512i interval) {
    return _mm512_cmpge_epu32_mask(_mm512_srli_epi32(lane, 32 - kProbabilityBits), _mm512_srli_epi32(interval, 16));
}

template <unsigned Groups>
uint16_t *encode(const uint32_t *intervals, size_t rows, uint32_t *lanes, uint16_t *words) {
    __m512i lane[2 * Groups];
    for (unsigned half = 0; half < 2 * Groups; ++half) lane[half] = load(lanes + 16 * half);
    for (const uint32_t *row = intervals + rows * kGroup * Groups; row != intervals;) {
        row -= kGroup * Groups;
        for (unsigned g = Groups; g-- > 0;) {
            __m512i &first = lane[2 * g], &second = lane[2 * g + 1];
            const __m512i first_interval = load(row + kGroup * g), second_interval = load(row + kGroup * g + 16);
            const __mmask16 first_due = words_due(first, first_interval),
                            second_due = words_due(second, second_interval);
            const __mmask32 due = static_cast<__mmask32>(second_due) << 16 | first_due;
            const __m512i low = _mm512_inserti64x4(_mm512_castsi256_si512(_mm512_cvtepi32_epi16(first)),
                                                   _mm512_cvtepi32_epi16(second), 1);
            const unsigned count = static_cast<unsigned>(_mm_popcnt_u32(due));
            words -= count;
            _mm512_mask_storeu_epi16(words, _bzhi_u32(~0u, count), _mm512_maskz_compress_epi16(due, low));
            first = advanced(_mm512_mask_srli_epi32(first, first_due, first, 16), first_interval);
            second = advanced(_mm512_mask_srli_epi32(second, second_due, second, 16), second_interval);
        }
    }
    for (unsigned half = 0; half < 2 * Groups; ++half) store(lanes + 16 * half, lane[half]);
    return words;
}

}  // namespace

uint16_t *encode_rows_avx512(const uint32_t *intervals, size_t rows, unsigned lanes, uint32_t *lane, uint16_t *words) {
    return lanes == 32 ? encode<1>(intervals, rows, lane, words) : encode<2>(intervals, rows, lane, words);
}

}  // namespace edgecodec
