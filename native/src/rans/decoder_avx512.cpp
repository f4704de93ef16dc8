// Threshold ladder with AVX-512 (BW, VBMI, VBMI2): 32 lanes a vector, states as vectors of 16-bit halves.
//
// A symbol's rank is the number of thresholds (start + frequency of a rank) of its table that its slot has reached.
// Ranks are sorted by probability, so a few rungs decide nearly every row. "Threshold j of table t", for up to 64
// tables, is one permutation of a row: no memory is gathered.
//
// The states of a row depend on those of the row before, so a mispredicted branch on them costs the latency of a whole
// row. The tables are known long before. So the tables decide how many rungs are climbed without asking, and the states
// are only asked whether any lane needs more, which is rare.
#include <immintrin.h>

#include "rans/decoder_state.h"

namespace edgecodec {
namespace {

constexpr unsigned kGroup = 32;

// With more raw bits than this, the value of a rank may exceed 16 bits.
constexpr unsigned kMaxVectorRawBits = 10;

// The value of every ordinary rank, repeated for each lane: 0, 1, -1, 2, -2, ...
struct RankValues {
    alignas(64) int16_t of_rank[kLadderRows][kGroup];

    constexpr RankValues() : of_rank() {
        for (int rank = 0; rank < static_cast<int>(kLadderRows); ++rank) {
            for (int16_t &value : of_rank[rank]) {
                value = static_cast<int16_t>(rank % 2 == 1 ? rank / 2 + 1 : -(rank / 2));
            }
        }
    }
};
constexpr RankValues kRankValues;

// The permutation that reverses a vector's bytes.
struct Reversal {
    alignas(64) uint8_t byte[64];

    constexpr Reversal() : byte() {
        for (int i = 0; i < 64; ++i) byte[i] = static_cast<uint8_t>(63 - i);
    }
};
constexpr Reversal kReversal;

inline __m512i load(const void *from) { return _mm512_loadu_si512(from); }
inline __m256i load_half(const void *from) { return _mm256_loadu_si256(static_cast<const __m256i *>(from)); }
inline void store(void *to, __m512i value) { _mm512_storeu_si512(to, value); }
inline __m512i join(__m256i low, __m256i high) { return _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1); }

inline __m512i look_up(const uint16_t *row, __m512i table) {
    return _mm512_permutex2var_epi16(load(row), table, load(row + 32));
}

// The states of 32 lanes.
struct States {
    __m512i high, low;

    States() = default;
    explicit States(const uint32_t *lane) {
        const __m512i first = load(lane), second = load(lane + 16);
        low = join(_mm512_cvtepi32_epi16(first), _mm512_cvtepi32_epi16(second));
        high = join(_mm512_cvtepi32_epi16(_mm512_srli_epi32(first, 16)),
                    _mm512_cvtepi32_epi16(_mm512_srli_epi32(second, 16)));
    }

    void save(uint32_t *lane) const {
        for (unsigned half = 0; half < 2; ++half) {
            const __m256i high_half = half == 0 ? _mm512_castsi512_si256(high) : _mm512_extracti64x4_epi64(high, 1);
            const __m256i low_half = half == 0 ? _mm512_castsi512_si256(low) : _mm512_extracti64x4_epi64(low, 1);
            store(lane + 16 * half, _mm512_or_si512(_mm512_slli_epi32(_mm512_cvtepu16_epi32(high_half), 16),
                                                    _mm512_cvtepu16_epi32(low_half)));
        }
    }
};

// The positions of 32 lanes on the ladder.
struct Climb {
    __m512i slot, start, end, value;  // the rank's slots are [start, end)
    __mmask32 reached;                // where the slot has reached the last threshold

    Climb() = default;
    Climb(__m512i low, __m512i first_threshold) {
        slot = _mm512_and_si512(low, _mm512_set1_epi16(kProbabilitySum - 1));
        start = value = _mm512_setzero_si512();
        end = first_threshold;
        reached = _mm512_cmpge_epu16_mask(slot, end);
    }

    void step(__m512i threshold, __m512i value_of_rank) {
        start = _mm512_mask_mov_epi16(start, reached, end);
        end = _mm512_mask_mov_epi16(end, reached, threshold);
        value = _mm512_mask_mov_epi16(value, reached, value_of_rank);
        // Thresholds ascend, so this does not depend on the one below.
        reached = _mm512_cmpge_epu16_mask(slot, threshold);
    }

    // state = frequency * (state >> 14) + slot - start. With state = high : low, that is
    // 4 * frequency * high + (frequency * (low >> 14) + slot - start), and the bracket fits 16 bits.
    // Lanes that fall below 2^16 take the next words. Returns the address after those.
    const uint8_t *advance(States &state, const uint8_t *words) const {
        const __m512i frequency = _mm512_sub_epi16(end, start);
        const __m512i scaled = _mm512_slli_epi16(frequency, 16 - kProbabilityBits);
        const __m512i rest =
            _mm512_add_epi16(_mm512_sub_epi16(slot, start),
                             _mm512_mullo_epi16(frequency, _mm512_srli_epi16(state.low, kProbabilityBits)));
        const __m512i low = _mm512_add_epi16(_mm512_mullo_epi16(scaled, state.high), rest);
        const __mmask32 carry = _mm512_cmplt_epu16_mask(low, rest);
        const __m512i product_high = _mm512_mulhi_epu16(scaled, state.high);
        const __m512i high = _mm512_mask_add_epi16(product_high, carry, product_high, _mm512_set1_epi16(1));
        const __mmask32 due = _mm512_testn_epi16_mask(high, high);
        state.high = _mm512_mask_mov_epi16(high, due, low);
        state.low = _mm512_mask_expand_epi16(low, due, load(words));
        return words + 2 * static_cast<size_t>(_mm_popcnt_u32(due));
    }
};

// The rungs that probably suffice for all tables of a row: the largest of their likely_rungs.
template <unsigned Groups>
inline unsigned likely_rungs_of_row(const TableSetView &tables, const uint8_t *table_of_symbol) {
    const __m512i of_table = load(tables.likely_rungs);
    __m256i rungs;
    if constexpr (Groups == 2) {
        const __m512i all = _mm512_permutexvar_epi8(load(table_of_symbol), of_table);
        rungs = _mm256_max_epu8(_mm512_castsi512_si256(all), _mm512_extracti64x4_epi64(all, 1));
    } else {
        const __m512i row = _mm512_castsi256_si512(load_half(table_of_symbol));
        rungs = _mm512_castsi512_si256(_mm512_permutexvar_epi8(row, of_table));
    }
    // There is an instruction for the smallest of eight words.
    const __m128i quarter = _mm_max_epu8(_mm256_castsi256_si128(rungs), _mm256_extracti128_si256(rungs, 1));
    const __m128i inverse = _mm_xor_si128(quarter, _mm_set1_epi8(-1));
    const __m128i pairs = _mm_min_epu8(inverse, _mm_srli_epi16(inverse, 8));
    return 255 - static_cast<unsigned>(_mm_extract_epi16(_mm_minpos_epu16(pairs), 0));
}

template <unsigned Groups>
inline bool has_raw_bits(const TableSetView &tables, const uint8_t *table_of_symbol) {
    const char first_raw = static_cast<char>(tables.first_raw);
    if constexpr (Groups == 2) return _mm512_cmpge_epu8_mask(load(table_of_symbol), _mm512_set1_epi8(first_raw)) != 0;
    return _mm256_cmpge_epu8_mask(load_half(table_of_symbol), _mm256_set1_epi8(first_raw)) != 0;
}

// Adds the raw bits of all lanes to the values of their ranks. Returns false, and does nothing, if the side stream has
// too few bits or a value might exceed 16 bits.
inline bool add_raw_bits(const TableSetView &tables, __m512i table, __m512i &values, DecoderState &state) {
    const __m512i one = _mm512_set1_epi16(1);
    const __m512i bits = look_up(tables.raw_bits, table);
    if (_mm512_cmpgt_epu16_mask(bits, _mm512_set1_epi16(kMaxVectorRawBits)) != 0) return false;

    // Prefix sums over the lanes: within 8 lanes, then across pairs of 8 and of 16.
    __m512i sums = _mm512_add_epi16(bits, _mm512_bslli_epi128(bits, 2));
    sums = _mm512_add_epi16(sums, _mm512_bslli_epi128(sums, 4));
    sums = _mm512_add_epi16(sums, _mm512_bslli_epi128(sums, 8));
    const __m512i lane_7_or_23 = join(_mm256_set1_epi16(7), _mm256_set1_epi16(23)), lane_15 = _mm512_set1_epi16(15);
    sums = _mm512_mask_add_epi16(sums, 0xff00ff00, sums, _mm512_permutexvar_epi16(lane_7_or_23, sums));
    sums = _mm512_mask_add_epi16(sums, 0xffff0000, sums, _mm512_permutexvar_epi16(lane_15, sums));
    const unsigned total = static_cast<unsigned>(_mm_extract_epi16(_mm512_extracti32x4_epi32(sums, 3), 7));
    if (total > state.side_limit - state.side_position) return false;

    // The next 64 bytes of the side stream as words. A lane's bits begin in one word and may end in the next.
    const uint8_t *bytes = state.side_end - (state.side_position >> 3) - 64;
    const __m512i stream = _mm512_permutexvar_epi8(load(kReversal.byte), load(bytes));
    const __m512i first_position = _mm512_set1_epi16(static_cast<int16_t>(state.side_position & 7));
    const __m512i position = _mm512_add_epi16(first_position, _mm512_sub_epi16(sums, bits));
    const __m512i word = _mm512_srli_epi16(position, 4);
    const __m512i begin = _mm512_permutexvar_epi16(word, stream);
    const __m512i end = _mm512_permutexvar_epi16(_mm512_add_epi16(word, one), stream);
    state.side_position += total;

    const __m512i width = _mm512_sllv_epi16(one, bits);
    const __m512i raw = _mm512_and_si512(_mm512_shrdv_epi16(begin, end, position), _mm512_sub_epi16(width, one));
    const __m512i lowest = _mm512_sub_epi16(_mm512_sllv_epi16(values, bits), _mm512_srli_epi16(width, 1));
    values = _mm512_add_epi16(lowest, raw);
    return true;
}

__attribute__((noinline)) void complete_one_by_one(const TableSetView &tables, const uint8_t *table_of_symbol,
                                                   int16_t *symbols, __m512i values, __mmask32 escaped,
                                                   DecoderState &state) {
    const __m512i twice = _mm512_slli_epi16(_mm512_abs_epi16(values), 1);
    const __mmask32 positive = _mm512_cmpgt_epi16_mask(values, _mm512_setzero_si512());
    const __m512i ranks = _mm512_mask_sub_epi16(twice, positive, twice, _mm512_set1_epi16(1));
    alignas(32) uint8_t rank[kGroup];
    _mm256_store_si256(reinterpret_cast<__m256i *>(rank), _mm512_cvtepi16_epi8(ranks));
    const __m256i first_raw = _mm256_set1_epi8(static_cast<char>(tables.first_raw));
    const __mmask32 raw = _mm256_cmpge_epu8_mask(load_half(table_of_symbol), first_raw);
    complete_symbols(tables, table_of_symbol, rank, raw | escaped, symbols, state);
}

// Takes values from the side stream where the table has raw bits or the rank is the escape.
inline void complete(const TableSetView &tables, const uint8_t *table_of_symbol, __m512i table, int16_t *symbols,
                     const Climb &climb, DecoderState &state) {
    const __mmask32 escaped = _mm512_test_epi16_mask(climb.end, _mm512_set1_epi16(kProbabilitySum));
    __m512i values = climb.value;
    if (escaped == 0 && add_raw_bits(tables, table, values, state)) {
        store(symbols, values);
    } else {
        complete_one_by_one(tables, table_of_symbol, symbols, values, escaped, state);
    }
}

// Always inlined, so that the states stay in registers from row to row.
template <unsigned Groups>
__attribute__((always_inline)) inline const uint8_t *decode_row(const TableSetView &tables,
                                                                const uint8_t *table_of_symbol, int16_t *symbols,
                                                                const uint8_t *words, States *states,
                                                                DecoderState &state) {
    __m512i table[Groups];
    Climb climbs[Groups];
    for (unsigned g = 0; g < Groups; ++g) {
        table[g] = _mm512_cvtepu8_epi16(load_half(table_of_symbol + kGroup * g));
        climbs[g] = Climb(states[g].low, look_up(tables.ladder, table[g]));
    }
    const uint16_t *rung = tables.ladder + kLadderTables;
    const int16_t *value = kRankValues.of_rank[1];
    const auto climb = [&]() __attribute__((always_inline)) {
        for (unsigned g = 0; g < Groups; ++g) climbs[g].step(look_up(rung, table[g]), load(value));
        rung += kLadderTables;
        value += kGroup;
    };
    // In pairs: fewer trip counts for the branch predictor.
    const unsigned likely_rungs = likely_rungs_of_row<Groups>(tables, table_of_symbol);
    for (unsigned rungs = 0; rungs < likely_rungs; rungs += 2) {
        climb();
        climb();
    }
    while (__builtin_expect(_kortestz_mask32_u8(climbs[0].reached, climbs[Groups - 1].reached) == 0, 0)) climb();

    for (unsigned g = 0; g < Groups; ++g) {
        words = climbs[g].advance(states[g], words);
        store(symbols + kGroup * g, climbs[g].value);
    }
    const __m512i ends = _mm512_or_si512(climbs[0].end, climbs[Groups - 1].end);
    const bool escaped = _mm512_test_epi16_mask(ends, _mm512_set1_epi16(kProbabilitySum)) != 0;
    if (__builtin_expect(escaped, 0) || has_raw_bits<Groups>(tables, table_of_symbol)) {
        for (unsigned g = 0; g < Groups; ++g) {
            complete(tables, table_of_symbol + kGroup * g, table[g], symbols + kGroup * g, climbs[g], state);
        }
    }
    return words;
}

template <unsigned Groups>
void decode(const TableSetView &tables, const uint8_t *table_of_symbol, int16_t *symbols, size_t count,
            DecoderState &state) {
    constexpr unsigned kLanes = Groups * kGroup;
    States states[Groups];
    for (unsigned g = 0; g < Groups; ++g) states[g] = States(state.lane + kGroup * g);
    const uint8_t *words = state.words;
    size_t i = 0;
    for (; i + kLanes <= count && words <= state.words_end; i += kLanes) {
        words = decode_row<Groups>(tables, table_of_symbol + i, symbols + i, words, states, state);
    }
    for (unsigned g = 0; g < Groups; ++g) states[g].save(state.lane + kGroup * g);
    state.words = words;
    // The scalar decoder does a last row that is not full, and reports words that ran out.
    decode_indexed_scalar(tables, table_of_symbol + i, symbols + i, count - i, kLanes, state);
}

}  // namespace

void decode_indexed_avx512(const TableSetView &tables, const uint8_t *table_of_symbol, int16_t *symbols, size_t count,
                           unsigned lanes, DecoderState &state) {
    if (lanes == 32) {
        decode<1>(tables, table_of_symbol, symbols, count, state);
    } else {
        decode<2>(tables, table_of_symbol, symbols, count, state);
    }
}

}  // namespace edgecodec
