// Threshold ladder with AVX2: 32 lanes at a time, states as two vectors of 16-bit halves.
//
// A symbol's rank is the number of thresholds (start + frequency of a rank) of its table that its slot has reached.
// Ranks are sorted by probability, so a few rungs decide nearly every row. "Threshold j of table t", for up to 64
// tables, is a byte shuffle of each quarter of a row: no memory is gathered.
//
// The states of a row depend on those of the row before, so a mispredicted branch on them costs the latency of a whole
// row. The tables are known long before. So the tables decide how many rungs are climbed without asking, and the states
// are only asked whether any lane needs more, which is rare.
#include <immintrin.h>

#include "rans/decoder_state.h"
#include "rans/word_shuffles.h"

namespace edgecodec {
namespace {

constexpr unsigned kGroup = 32;

// Made once. Otherwise the compiler makes them again in every row, each from a general register.
struct Constants {
    __m256i minus_one = hidden(_mm256_set1_epi16(-1)), one = hidden(_mm256_set1_epi16(1));
    __m256i slot = hidden(_mm256_set1_epi16(kProbabilitySum - 1)), sum = hidden(_mm256_set1_epi16(kProbabilitySum));

private:
    // Hides from the compiler that the value is constant.
    static __m256i hidden(__m256i constant) {
        asm("" : "+x"(constant));
        return constant;
    }
};

// The states of 16 lanes.
struct Half {
    __m256i high, low;
};

// Table indices of 32 lanes as shuffle controls, one per quarter of a row of 64 bytes. Bit 7, which makes a shuffle
// give zero, is set in all quarters but the index's own. Small indices need the first quarters only.
template <int Quarters>
struct RowIndex {
    __m256i quarter[Quarters];

    explicit RowIndex(__m256i tables) {
        for (int q = 0; q < Quarters; ++q) {
            const __m256i within = _mm256_sub_epi8(tables, _mm256_set1_epi8(static_cast<char>(16 * q)));
            quarter[q] = _mm256_adds_epu8(within, _mm256_set1_epi8(0x70));
        }
    }

    __m256i look_up(const uint8_t *row) const {
        __m256i found = part(row, 0);
        for (int q = 1; q < Quarters; ++q) found = _mm256_or_si256(found, part(row, q));
        return found;
    }

private:
    __m256i part(const uint8_t *row, int q) const {
        const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i *>(row + 16 * q));
        return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(bytes), quarter[q]);
    }
};

// The positions of 16 lanes on the ladder. Distances are modulo 2^16, so those from thresholds that the slot has not
// reached are large: the smallest distance is from the rank's start, the largest from its end.
struct Climb {
    __m256i slot, from_start, from_end;
    __m256i minus_rank;
    __m256i reached;  // all ones where the slot has reached the last threshold

    Climb(const Constants &constant, __m256i low, __m256i first_threshold) {
        slot = _mm256_and_si256(low, constant.slot);
        from_end = _mm256_sub_epi16(slot, first_threshold);
        from_start = _mm256_min_epu16(slot, from_end);
        minus_rank = reached = _mm256_cmpgt_epi16(from_end, constant.minus_one);
    }

    void step(const Constants &constant, __m256i threshold) {
        const __m256i distance = _mm256_sub_epi16(slot, threshold);
        from_start = _mm256_min_epu16(from_start, distance);
        from_end = _mm256_max_epu16(from_end, distance);
        reached = _mm256_cmpgt_epi16(distance, constant.minus_one);
        minus_rank = _mm256_add_epi16(minus_rank, reached);
    }

    __m256i end() const { return _mm256_sub_epi16(slot, from_end); }

    // state = frequency * (state >> 14) + slot - start. With state = high : low, that is
    // 4 * frequency * high + (frequency * (low >> 14) + slot - start), and the bracket fits 16 bits.
    // Returns all ones in the lanes that need a word.
    __m256i advance(const Constants &constant, Half &state) const {
        const __m256i frequency = _mm256_sub_epi16(from_start, from_end);
        const __m256i scaled = _mm256_slli_epi16(frequency, 16 - kProbabilityBits);
        const __m256i rest =
            _mm256_add_epi16(from_start, _mm256_mullo_epi16(frequency, _mm256_srli_epi16(state.low, kProbabilityBits)));
        const __m256i low = _mm256_add_epi16(_mm256_mullo_epi16(scaled, state.high), rest);
        const __m256i no_carry = _mm256_cmpeq_epi16(_mm256_max_epu16(low, rest), low);
        const __m256i product_high = _mm256_mulhi_epu16(scaled, state.high);
        // Adds the carry, where there is one: all ones are -1.
        const __m256i high = _mm256_sub_epi16(product_high, _mm256_andnot_si256(no_carry, constant.minus_one));
        state = {high, low};
        return _mm256_cmpeq_epi16(high, _mm256_setzero_si256());
    }

    // The value of an ordinary rank: 0, 1, -1, 2, -2, ...
    __m256i value(const Constants &constant) const {
        const __m256i minus_size = _mm256_srai_epi16(minus_rank, 1);
        // Negative for odd ranks, never zero.
        const __m256i sign = _mm256_or_si256(_mm256_slli_epi16(minus_rank, 15), constant.one);
        return _mm256_sign_epi16(minus_size, sign);
    }
};

inline __m256i load(const void *from) { return _mm256_loadu_si256(static_cast<const __m256i *>(from)); }
inline void store(void *to, __m256i value) { _mm256_storeu_si256(static_cast<__m256i *>(to), value); }

// The states of 32 lanes.
struct Group {
    Half first, second;

    explicit Group(const uint32_t *lane) : first(half(lane)), second(half(lane + 16)) {}

    void save(uint32_t *lane) const {
        save(first, lane);
        save(second, lane + 16);
    }

private:
    static Half half(const uint32_t *lane) {
        uint16_t high[16], low[16];
        for (unsigned l = 0; l < 16; ++l) {
            high[l] = static_cast<uint16_t>(lane[l] >> 16);
            low[l] = static_cast<uint16_t>(lane[l]);
        }
        return {load(high), load(low)};
    }

    static void save(const Half &half, uint32_t *lane) {
        uint16_t high[16], low[16];
        store(high, half.high);
        store(low, half.low);
        for (unsigned l = 0; l < 16; ++l) lane[l] = static_cast<uint32_t>(high[l]) << 16 | low[l];
    }
};

// Orders the bytes of 32 lanes so that unpacklo gives lanes 0 to 15 and unpackhi lanes 16 to 31. Its own inverse.
inline __m256i interleave(__m256i bytes) { return _mm256_permute4x64_epi64(bytes, _MM_SHUFFLE(3, 1, 2, 0)); }

inline __m128i words_for(const uint8_t *words, uint32_t mask) {
    return _mm_shuffle_epi8(_mm_loadu_si128(reinterpret_cast<const __m128i *>(words)),
                            _mm_load_si128(reinterpret_cast<const __m128i *>(kWordShuffles.of_mask[mask])));
}

// In lanes that need a word the high half is zero; in the others `first` and `second` are.
inline void refill(Half &state, __m256i due, __m128i first, __m128i second) {
    state.high = _mm256_or_si256(state.high, _mm256_and_si256(state.low, due));
    state.low = _mm256_or_si256(_mm256_andnot_si256(due, state.low), _mm256_set_m128i(second, first));
}

inline size_t count_bits(uint32_t bits) { return static_cast<unsigned>(__builtin_popcount(bits)); }

inline unsigned largest_of(__m256i bytes) {
    // There is an instruction for the smallest of eight words.
    const __m128i half = _mm_max_epu8(_mm256_castsi256_si128(bytes), _mm256_extracti128_si256(bytes, 1));
    const __m128i inverse = _mm_xor_si128(half, _mm_set1_epi8(-1));
    const __m128i pairs = _mm_min_epu8(inverse, _mm_srli_epi16(inverse, 8));
    return 255 - static_cast<unsigned>(_mm_extract_epi16(_mm_minpos_epu16(pairs), 0));
}

struct Climbs {
    Climb first, second;
};

template <int Quarters>
__attribute__((always_inline)) inline Climbs climb_ladder(const Constants &constant, const TableSetView &tables,
                                                          __m256i table, unsigned likely_rungs, const Group &group) {
    const RowIndex<Quarters> index(table);
    const uint8_t *low_row = tables.ladder_low, *high_row = tables.ladder_high;
    __m256i low = index.look_up(low_row), high = index.look_up(high_row);
    Climb first(constant, group.first.low, _mm256_unpacklo_epi8(low, high));
    Climb second(constant, group.second.low, _mm256_unpackhi_epi8(low, high));
    const auto climb = [&]() __attribute__((always_inline)) {
        low_row += kLadderTables;
        high_row += kLadderTables;
        low = index.look_up(low_row);
        high = index.look_up(high_row);
        first.step(constant, _mm256_unpacklo_epi8(low, high));
        second.step(constant, _mm256_unpackhi_epi8(low, high));
    };
    // In pairs: fewer trip counts for the branch predictor.
    for (unsigned rungs = 0; rungs < likely_rungs; rungs += 2) {
        climb();
        climb();
    }
    for (;;) {
        const __m256i reached = _mm256_or_si256(first.reached, second.reached);
        if (__builtin_expect(_mm256_testz_si256(reached, reached), 1)) break;
        climb();
    }
    return {first, second};
}

// Takes values from the side stream where the table has raw bits or the rank is the escape.
__attribute__((noinline)) void complete(const TableSetView &tables, const uint8_t *table_of_symbol, int16_t *symbols,
                                        __m256i ranks, __m256i escaped, DecoderState &state) {
    alignas(32) uint8_t rank[kGroup];
    _mm256_store_si256(reinterpret_cast<__m256i *>(rank), interleave(ranks));
    const __m256i raw =
        _mm256_cmpgt_epi8(load(table_of_symbol), _mm256_set1_epi8(static_cast<char>(tables.first_raw - 1)));
    const __m256i special = _mm256_or_si256(raw, interleave(escaped));
    complete_symbols(tables, table_of_symbol, rank, static_cast<uint32_t>(_mm256_movemask_epi8(special)), symbols,
                     state);
}

// Always inlined, so that the states stay in registers from row to row.
__attribute__((always_inline)) inline const uint8_t *decode_group(const Constants &constant, const TableSetView &tables,
                                                                  const uint8_t *table_of_symbol, int16_t *symbols,
                                                                  const uint8_t *words, Group &group,
                                                                  DecoderState &state) {
    const __m256i in_order = load(table_of_symbol), table = interleave(in_order);
    const unsigned largest = largest_of(in_order), likely_rungs = tables.likely_rungs[largest];
    const auto climbed = [&]() __attribute__((always_inline)) {
        if (largest < 16) return climb_ladder<1>(constant, tables, table, likely_rungs, group);
        if (largest < 32) return climb_ladder<2>(constant, tables, table, likely_rungs, group);
        return climb_ladder<4>(constant, tables, table, likely_rungs, group);
    };
    const auto [first, second] = climbed();

    const __m256i due_first = first.advance(constant, group.first);
    const __m256i due_second = second.advance(constant, group.second);
    // packs works within 128 bits: the bytes of the mask are lanes 0-7, 16-23, 8-15, 24-31.
    const uint32_t due = static_cast<uint32_t>(_mm256_movemask_epi8(_mm256_packs_epi16(due_first, due_second)));
    const size_t before_8 = 2 * count_bits(due & 0xff), before_16 = 2 * count_bits(due & 0xff00ff);
    const size_t before_24 = 2 * count_bits(due & 0xffffff);
    refill(group.first, due_first, words_for(words, due & 255), words_for(words + before_8, due >> 16 & 255));
    refill(group.second, due_second, words_for(words + before_16, due >> 8 & 255),
           words_for(words + before_24, due >> 24));
    words += 2 * count_bits(due);

    store(symbols, first.value(constant));
    store(symbols + 16, second.value(constant));
    // Only the last rank, the escape, ends at the sum.
    const __m256i first_end = first.end(), second_end = second.end();
    const bool escaped = !_mm256_testz_si256(_mm256_or_si256(first_end, second_end), constant.sum);
    if (largest >= tables.first_raw || __builtin_expect(escaped, 0)) {
        complete(tables, table_of_symbol, symbols,
                 _mm256_packs_epi16(_mm256_abs_epi16(first.minus_rank), _mm256_abs_epi16(second.minus_rank)),
                 _mm256_packs_epi16(_mm256_cmpeq_epi16(first_end, constant.sum),
                                    _mm256_cmpeq_epi16(second_end, constant.sum)),
                 state);
    }
    return words;
}

template <unsigned Lanes>
void decode(const TableSetView &tables, const uint8_t *table_of_symbol, int16_t *symbols, size_t count,
            DecoderState &state) {
    constexpr bool kTwo = Lanes == 2 * kGroup;
    const Constants constant;
    // Two variables, because the compiler would store an array in every row.
    Group first(state.lane), second(state.lane + Lanes - kGroup);
    const uint8_t *words = state.words;
    size_t i = 0;
    for (; i + Lanes <= count && words <= state.words_end; i += Lanes) {
        words = decode_group(constant, tables, table_of_symbol + i, symbols + i, words, first, state);
        if constexpr (kTwo) {
            words = decode_group(constant, tables, table_of_symbol + i + kGroup, symbols + i + kGroup, words, second,
                                 state);
        }
    }
    first.save(state.lane);
    if constexpr (kTwo) second.save(state.lane + kGroup);
    state.words = words;
    // The scalar decoder does a last row that is not full, and reports words that ran out.
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

// Keeps states in 32 bits, eight lanes in a vector.
void decode_sparse_avx2(const TableSetView &tables, const uint8_t *table_of_symbol, int16_t *symbols, size_t count,
                        unsigned lanes, DecoderState &state) {
    constexpr unsigned kLanes = 8;
    if (lanes != kLanes) return decode_sparse_scalar(tables, table_of_symbol, symbols, count, lanes, state);
    __m256i lane = load(state.lane);
    size_t i = 0;
    for (; i + kLanes <= count; i += kLanes) {
        const __m128i bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i *>(table_of_symbol + i));
        const __m256i likeliest = _mm256_i32gather_epi32(reinterpret_cast<const int *>(tables.likeliest),
                                                         _mm256_cvtepu8_epi32(bytes), sizeof(LikeliestRank));
        const __m256i frequency = _mm256_and_si256(likeliest, _mm256_set1_epi32(0xffff));
        const __m256i slot = _mm256_and_si256(lane, _mm256_set1_epi32(kProbabilitySum - 1));
        const __m256i next =
            _mm256_add_epi32(_mm256_mullo_epi32(frequency, _mm256_srli_epi32(lane, kProbabilityBits)), slot);
        const __m256i due = _mm256_cmpeq_epi32(_mm256_srli_epi32(next, 16), _mm256_setzero_si256());
        const __m256i likely = _mm256_andnot_si256(due, _mm256_cmpgt_epi32(frequency, slot));
        if (__builtin_expect(_mm256_movemask_epi8(likely) == -1, 1)) {
            lane = next;
            // In a set with a ladder the first rank of every table is the value 0.
            _mm_storeu_si128(reinterpret_cast<__m128i *>(symbols + i), _mm_setzero_si128());
        } else {
            store(state.lane, lane);
            decode_sparse_scalar(tables, table_of_symbol + i, symbols + i, kLanes, kLanes, state);
            lane = load(state.lane);
        }
    }
    store(state.lane, lane);
    decode_sparse_scalar(tables, table_of_symbol + i, symbols + i, count - i, kLanes, state);
}

}  // namespace edgecodec
