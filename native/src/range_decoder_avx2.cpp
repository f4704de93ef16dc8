// Threshold ladder with AVX2: 32 lanes at a time, states as two vectors of 16-bit halves.
//
// A symbol's rank is the number of thresholds (start + frequency of a rank) of its table that its slot has reached.
// Ranks are sorted by probability, so a few rungs decide nearly every row. "Threshold j of table t", for up to 64
// tables, is a byte shuffle of each quarter of a row: no memory is gathered.
#include <immintrin.h>

#include "range_decoder_state.h"

namespace edgecodec {
namespace {

constexpr unsigned kGroup = 32;

// The first rungs are climbed without asking whether any lane still needs them.
constexpr unsigned kSureRungs = 3;

// Sixteen lanes.
struct Half {
    __m256i high, low;  // of the states
};

// Per mask of eight lanes, the shuffle that hands the next words to the lanes in the mask, in order.
struct WordShuffles {
    alignas(16) uint8_t of_mask[256][16];

    constexpr WordShuffles() : of_mask() {
        for (int mask = 0; mask < 256; ++mask) {
            int word = 0;
            for (int lane = 0; lane < 8; ++lane) {
                const bool due = (mask >> lane & 1) != 0;
                of_mask[mask][2 * lane] = static_cast<uint8_t>(due ? 2 * word : 0x80);
                of_mask[mask][2 * lane + 1] = static_cast<uint8_t>(due ? 2 * word + 1 : 0x80);
                word += due;
            }
        }
    }
};
constexpr WordShuffles kWordShuffles;

// Table indices of 32 lanes as shuffle controls, one per quarter of a row of 64 bytes; bit 7, which makes a shuffle give
// zero, is set in all but the index's own quarter.
struct RowIndex {
    __m256i quarter[4];

    explicit RowIndex(__m256i tables) {
        for (int q = 0; q < 4; ++q) {
            const __m256i within = _mm256_sub_epi8(tables, _mm256_set1_epi8(static_cast<char>(16 * q)));
            quarter[q] = _mm256_adds_epu8(within, _mm256_set1_epi8(0x70));
        }
    }

    __m256i look_up(const uint8_t *row) const {
        return _mm256_or_si256(_mm256_or_si256(part(row, 0), part(row, 1)), _mm256_or_si256(part(row, 2), part(row, 3)));
    }

private:
    __m256i part(const uint8_t *row, int q) const {
        const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i *>(row + 16 * q));
        return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(bytes), quarter[q]);
    }
};

// Where 16 lanes stand on the ladder. Thresholds ascend, so rungs need not wait for each other.
struct Climb {
    __m256i slot, start, end, rank;  // the rank's slots are [start, end)
    __m256i reached;                 // all ones where the slot has reached the last threshold

    explicit Climb(__m256i low) {
        slot = _mm256_and_si256(low, _mm256_set1_epi16(kProbabilitySum - 1));
        start = rank = _mm256_setzero_si256();
        end = _mm256_set1_epi16(-1);
    }

    void step(__m256i threshold) {
        reached = _mm256_cmpgt_epi16(_mm256_add_epi16(slot, _mm256_set1_epi16(1)), threshold);
        start = _mm256_max_epi16(start, _mm256_and_si256(threshold, reached));
        end = _mm256_min_epu16(end, _mm256_or_si256(threshold, reached));
        rank = _mm256_sub_epi16(rank, reached);
    }

    // state = frequency * (state >> 14) + slot - start. With state = high : low, that is
    // 4 * frequency * high + (frequency * (low >> 14) + slot - start), and the bracket fits 16 bits.
    // Returns all ones where a word is due.
    __m256i advance(Half &state) const {
        const __m256i frequency = _mm256_sub_epi16(end, start);
        const __m256i scaled = _mm256_slli_epi16(frequency, 16 - kProbabilityBits);
        const __m256i rest = _mm256_add_epi16(_mm256_sub_epi16(slot, start),
                                              _mm256_mullo_epi16(frequency, _mm256_srli_epi16(state.low, kProbabilityBits)));
        const __m256i low = _mm256_add_epi16(_mm256_mullo_epi16(scaled, state.high), rest);
        const __m256i no_carry = _mm256_cmpeq_epi16(_mm256_max_epu16(low, rest), low);
        const __m256i product_high = _mm256_mulhi_epu16(scaled, state.high);
        const __m256i high = _mm256_add_epi16(_mm256_add_epi16(product_high, _mm256_set1_epi16(1)), no_carry);
        state = {high, low};
        return _mm256_cmpeq_epi16(high, _mm256_setzero_si256());
    }

    // The value of an ordinary rank: 0, 1, -1, 2, -2, ...
    __m256i value() const {
        const __m256i one = _mm256_set1_epi16(1);
        const __m256i size = _mm256_srli_epi16(_mm256_add_epi16(rank, one), 1);
        const __m256i negate = _mm256_sub_epi16(_mm256_and_si256(rank, one), one);
        return _mm256_sub_epi16(_mm256_xor_si256(size, negate), negate);
    }
};

inline __m256i load(const void *from) { return _mm256_loadu_si256(static_cast<const __m256i *>(from)); }
inline void store(void *to, __m256i value) { _mm256_storeu_si256(static_cast<__m256i *>(to), value); }

// Bytes of 32 lanes in the order in which unpacklo gives lanes 0 to 15 and unpackhi lanes 16 to 31; its own inverse.
inline __m256i interleave(__m256i bytes) { return _mm256_permute4x64_epi64(bytes, _MM_SHUFFLE(3, 1, 2, 0)); }

inline __m128i words_for(const uint8_t *words, uint32_t mask) {
    return _mm_shuffle_epi8(_mm_loadu_si128(reinterpret_cast<const __m128i *>(words)),
                            _mm_load_si128(reinterpret_cast<const __m128i *>(kWordShuffles.of_mask[mask])));
}

// Where a word is due the high half is zero; where none is, the word is.
inline void refill(Half &state, __m256i due, __m128i first, __m128i second) {
    state.high = _mm256_or_si256(state.high, _mm256_and_si256(state.low, due));
    state.low = _mm256_or_si256(_mm256_andnot_si256(due, state.low), _mm256_set_m128i(second, first));
}

// The lanes in `special` take their value from elsewhere.
__attribute__((noinline)) void complete_group(const TableSetView &tables, const uint8_t *table_of_symbol,
                                              int16_t *symbols, __m256i ranks, uint32_t special, DecoderState &state) {
    alignas(32) uint8_t rank[kGroup];
    _mm256_store_si256(reinterpret_cast<__m256i *>(rank), interleave(ranks));
    // The mask is in the order of `interleave`: lanes 0-7, 16-23, 8-15, 24-31.
    special = (special & 0xff0000ffu) | (special & 0xff00u) << 8 | (special >> 8 & 0xff00u);
    for (; special != 0; special &= special - 1) {
        const unsigned lane = static_cast<unsigned>(__builtin_ctz(special));
        symbols[lane] = complete_symbol(tables, table_of_symbol[lane], rank[lane], state);
    }
}

// Always inlined, so that the states stay in registers from row to row.
__attribute__((always_inline)) inline const uint8_t *decode_group(const TableSetView &tables,
                                                                  const uint8_t *table_of_symbol, int16_t *symbols,
                                                                  const uint8_t *words, Half &first, Half &second,
                                                                  DecoderState &state) {
    const __m256i table = interleave(load(table_of_symbol));
    const RowIndex index(table);
    Climb a(first.low), b(second.low);
    const auto climb = [&](unsigned rung) __attribute__((always_inline)) {
        const __m256i low = index.look_up(tables.ladder_low + rung * kLadderTables);
        const __m256i high = index.look_up(tables.ladder_high + rung * kLadderTables);
        a.step(_mm256_unpacklo_epi8(low, high));
        b.step(_mm256_unpackhi_epi8(low, high));
    };
    unsigned rungs = 0;
#pragma GCC unroll 4
    for (; rungs < kSureRungs; ++rungs) climb(rungs);
    for (;; ++rungs) {
        const __m256i reached = _mm256_or_si256(a.reached, b.reached);
        if (_mm256_testz_si256(reached, reached)) break;
        climb(rungs);
    }

    const __m256i due_first = a.advance(first), due_second = b.advance(second);
    // packs works within 128 bits: the bytes of the mask are lanes 0-7, 16-23, 8-15, 24-31.
    const uint32_t due = static_cast<uint32_t>(_mm256_movemask_epi8(_mm256_packs_epi16(due_first, due_second)));
    const int before_8 = 2 * __builtin_popcount(due & 0xff), before_16 = 2 * __builtin_popcount(due & 0xff00ff);
    const int before_24 = 2 * __builtin_popcount(due & 0xffffff);
    refill(first, due_first, words_for(words, due & 255), words_for(words + before_8, due >> 16 & 255));
    refill(second, due_second, words_for(words + before_16, due >> 8 & 255), words_for(words + before_24, due >> 24));
    words += 2 * __builtin_popcount(due);

    store(symbols, a.value());
    store(symbols + 16, b.value());
    __m256i special = _mm256_cmpgt_epi8(table, _mm256_set1_epi8(static_cast<char>(tables.first_raw - 1)));
    const __m256i ranks = _mm256_packus_epi16(a.rank, b.rank);
    if (rungs > tables.smallest_escape) {
        special = _mm256_or_si256(special, _mm256_cmpeq_epi8(ranks, index.look_up(tables.escapes)));
    }
    const uint32_t special_mask = static_cast<uint32_t>(_mm256_movemask_epi8(special));
    if (__builtin_expect(special_mask != 0, 0)) {
        complete_group(tables, table_of_symbol, symbols, ranks, special_mask, state);
    }
    return words;
}

template <unsigned Lanes>
void decode(const TableSetView &tables, const uint8_t *table_of_symbol, int16_t *symbols, size_t count,
            DecoderState &state) {
    constexpr unsigned kHalves = Lanes / 16;
    Half half[kHalves];
    uint16_t high[Lanes], low[Lanes];
    for (unsigned lane = 0; lane < Lanes; ++lane) {
        high[lane] = static_cast<uint16_t>(state.lane[lane] >> 16);
        low[lane] = static_cast<uint16_t>(state.lane[lane]);
    }
    for (unsigned h = 0; h < kHalves; ++h) half[h] = {load(high + 16 * h), load(low + 16 * h)};

    const uint8_t *words = state.words;
    size_t i = 0;
    for (; i + Lanes <= count && words <= state.words_end; i += Lanes) {
#pragma GCC unroll 2
        for (unsigned h = 0; h < kHalves; h += 2) {
            words = decode_group(tables, table_of_symbol + i + 16 * h, symbols + i + 16 * h, words, half[h],
                                 half[h + 1], state);
        }
    }

    for (unsigned h = 0; h < kHalves; ++h) {
        store(high + 16 * h, half[h].high);
        store(low + 16 * h, half[h].low);
    }
    for (unsigned lane = 0; lane < Lanes; ++lane) {
        state.lane[lane] = static_cast<uint32_t>(high[lane]) << 16 | low[lane];
    }
    state.words = words;
    // A last row that is not full leaves some lanes alone; the scalar decoder also reports words that ran out.
    decode_indexed_scalar(tables, table_of_symbol + i, symbols + i, count - i, Lanes, state);
}

}  // namespace

void decode_indexed_avx2(const TableSetView &tables, const uint8_t *table_of_symbol, int16_t *symbols, size_t count,
                         unsigned lanes, DecoderState &state) {
    if (lanes == 32) {
        decode<32>(tables, table_of_symbol, symbols, count, state);
    } else {
        decode<64>(tables, table_of_symbol, symbols, count, state);
    }
}

}  // namespace edgecodec
