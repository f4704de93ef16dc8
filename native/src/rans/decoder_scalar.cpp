// The portable decoder. One bucket entry of eight bytes decides most symbols, and the lanes are interleaved so that
// their loads overlap.
#include <cstring>

#include "rans/decoder_state.h"

namespace edgecodec {
namespace {

struct Cursor {
    const uint8_t *words;

    uint32_t take() {
        uint16_t word;
        std::memcpy(&word, words, sizeof word);
        words += sizeof word;
        return word;
    }
};

inline int16_t decode_symbol(const TableSetView &tables, size_t table, uint32_t &lane, Cursor &cursor,
                             DecoderState &state) {
    const uint32_t slot = lane & (kProbabilitySum - 1);
    const RankEntry *entry = &tables.buckets[(table << kBucketBits) + (slot >> (kProbabilityBits - kBucketBits))];
    uint32_t rest = slot - entry->start;
    if (__builtin_expect(rest >= entry->frequency, 0)) {
        entry = &tables.ranks[table * kMaxRanks + entry->rank];
        do {
            rest -= entry->frequency;
            ++entry;
        } while (rest >= entry->frequency);
    }
    lane = entry->frequency * (lane >> kProbabilityBits) + rest;
    // A branch, because few symbols of a picture need a word and a choice without a branch is more work for all of
    // them.
    if (lane < kStateLow) lane = lane << 16 | cursor.take();
    if (__builtin_expect(entry->special, 0)) {
        return complete_symbol(tables, static_cast<unsigned>(table), entry->rank, state);
    }
    return entry->value;
}

// Copies lane by lane: after a copy of the whole array the compiler keeps two lanes in one register.
template <unsigned Lanes>
void copy_lanes(const uint32_t *from, uint32_t *to) {
    for (unsigned l = 0; l < Lanes; ++l) to[l] = from[l];
}

template <unsigned Lanes, class Index>
void decode(const TableSetView &tables, const Index *table_of_symbol, int16_t *symbols, size_t count,
            DecoderState &state) {
    constexpr unsigned kUnrolled = Lanes < 4 ? Lanes : 4;  // the compiler does not unroll a long loop partly
    uint32_t lane[Lanes];
    copy_lanes<Lanes>(state.lane, lane);
    Cursor cursor{state.words};
    size_t i = 0;
    for (; i + Lanes <= count && cursor.words <= state.words_end; i += Lanes) {
        for (unsigned first = 0; first < Lanes; first += kUnrolled) {
#pragma GCC unroll 4
            for (unsigned l = first; l < first + kUnrolled; ++l) {
                symbols[i + l] = decode_symbol(tables, table_of_symbol[i + l], lane[l], cursor, state);
            }
        }
    }
    if (cursor.words <= state.words_end) {
        for (unsigned l = 0; i < count; ++i, ++l) {
            symbols[i] = decode_symbol(tables, table_of_symbol[i], lane[l], cursor, state);
        }
    }
    if (cursor.words > state.words_end) state.fault = DecodeFault::words_missing;
    state.words = cursor.words;
    copy_lanes<Lanes>(lane, state.lane);
}

template <class Index>
void decode(const TableSetView &tables, const Index *table_of_symbol, int16_t *symbols, size_t count, unsigned lanes,
            DecoderState &state) {
    switch (lanes) {
        case 2: return decode<2>(tables, table_of_symbol, symbols, count, state);
        case 8: return decode<8>(tables, table_of_symbol, symbols, count, state);
        case 32: return decode<32>(tables, table_of_symbol, symbols, count, state);
        default: return decode<64>(tables, table_of_symbol, symbols, count, state);
    }
}

// The slow path of decode_sparse, a function of its own so that it takes no registers from the fast path.
__attribute__((noinline)) uint32_t decode_unlikely(const TableSetView &tables, size_t table, uint32_t lane,
                                                   int16_t &symbol, DecoderState &state) {
    Cursor cursor{state.words};
    symbol = decode_symbol(tables, table, lane, cursor, state);
    state.words = cursor.words;
    return lane;
}

__attribute__((noinline)) uint32_t refill(uint32_t lane, DecoderState &state) {
    Cursor cursor{state.words};
    lane = lane << 16 | cursor.take();
    state.words = cursor.words;
    return lane;
}

// While branches are predicted correctly, a state depends only on a multiplication and an addition.
inline void decode_likely(const TableSetView &tables, size_t table, uint32_t &lane, int16_t &symbol,
                          DecoderState &state) {
    const LikeliestRank rank = tables.likeliest[table];
    const uint32_t slot = lane & (kProbabilitySum - 1);
    if (__builtin_expect(slot >= rank.frequency, 0)) {
        lane = decode_unlikely(tables, table, lane, symbol, state);
        return;
    }
    symbol = rank.value;
    lane = rank.frequency * (lane >> kProbabilityBits) + slot;
    if (__builtin_expect(lane < kStateLow, 0)) lane = refill(lane, state);
}

template <unsigned Lanes>
void decode_sparse(const TableSetView &tables, const uint8_t *table_of_symbol, int16_t *symbols, size_t count,
                   DecoderState &state) {
    uint32_t lane[Lanes];
    copy_lanes<Lanes>(state.lane, lane);
    size_t i = 0;
    for (; i + Lanes <= count && state.words <= state.words_end; i += Lanes) {
#pragma GCC unroll 8
        for (unsigned l = 0; l < Lanes; ++l) {
            decode_likely(tables, table_of_symbol[i + l], lane[l], symbols[i + l], state);
        }
    }
    if (state.words <= state.words_end) {
        for (unsigned l = 0; i < count; ++i, ++l) decode_likely(tables, table_of_symbol[i], lane[l], symbols[i], state);
    }
    if (state.words > state.words_end) state.fault = DecodeFault::words_missing;
    copy_lanes<Lanes>(lane, state.lane);
}

}  // namespace

void decode_indexed_scalar(const TableSetView &tables, const uint8_t *table_of_symbol, int16_t *symbols, size_t count,
                           unsigned lanes, DecoderState &state) {
    decode(tables, table_of_symbol, symbols, count, lanes, state);
}

void decode_channels_scalar(const TableSetView &tables, const uint16_t *table_of_symbol, int16_t *symbols, size_t count,
                            unsigned lanes, DecoderState &state) {
    decode(tables, table_of_symbol, symbols, count, lanes, state);
}

void decode_sparse_scalar(const TableSetView &tables, const uint8_t *table_of_symbol, int16_t *symbols, size_t count,
                          unsigned lanes, DecoderState &state) {
    if (lanes == 2) return decode_sparse<2>(tables, table_of_symbol, symbols, count, state);
    decode_sparse<8>(tables, table_of_symbol, symbols, count, state);
}

}  // namespace edgecodec
