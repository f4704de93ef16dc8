// The portable decoder: eight-byte bucket entries, so that one load decides most symbols, and interleaved lanes, so that
// the loads overlap.
#include <cstring>

#include "range_decoder_state.h"

namespace edgecodec {
namespace {

struct Cursor {
    const uint8_t *words;

    uint32_t peek() const {
        uint16_t word;
        std::memcpy(&word, words, sizeof word);
        return word;
    }
};

inline int16_t decode_symbol(const TableSetView &tables, size_t table, uint32_t &lane, Cursor &cursor,
                             DecoderState &state) {
    const uint32_t slot = lane & (kProbabilitySum - 1);
    RankEntry entry;
    std::memcpy(&entry, &tables.buckets[(table << kBucketBits) + (slot >> (kProbabilityBits - kBucketBits))],
                sizeof entry);
    uint32_t rest = slot - entry.start;
    if (__builtin_expect(rest >= entry.frequency, 0)) {
        const RankEntry *rank = &tables.ranks[table * kMaxRanks + entry.rank];
        do {
            rest -= rank->frequency;
            ++rank;
        } while (rest >= rank->frequency);
        entry = *rank;
    }
    const uint32_t next = entry.frequency * (lane >> kProbabilityBits) + rest;
    // No branch: whether a word is due is as good as random.
    const bool due = next < kStateLow;
    const uint32_t refilled = next << 16 | cursor.peek();
    cursor.words += due ? 2 : 0;
    lane = due ? refilled : next;
    if (__builtin_expect(entry.special, 0)) {
        return complete_symbol(tables, static_cast<unsigned>(table), entry.rank, state);
    }
    return entry.value;
}

template <unsigned Lanes, class Index>
void decode(const TableSetView &tables, const Index *table_of_symbol, int16_t *symbols, size_t count,
            DecoderState &state) {
    uint32_t lane[Lanes];
    std::memcpy(lane, state.lane, sizeof lane);
    Cursor cursor{state.words};
    size_t i = 0;
    for (; i + Lanes <= count && cursor.words <= state.words_end; i += Lanes) {
#pragma GCC unroll 8
        for (unsigned l = 0; l < Lanes; ++l) {
            symbols[i + l] = decode_symbol(tables, table_of_symbol[i + l], lane[l], cursor, state);
        }
    }
    if (cursor.words <= state.words_end) {
        for (unsigned l = 0; i < count; ++i, ++l) {
            symbols[i] = decode_symbol(tables, table_of_symbol[i], lane[l], cursor, state);
        }
    }
    if (cursor.words > state.words_end) state.fault = DecodeFault::words_missing;
    state.words = cursor.words;
    std::memcpy(state.lane, lane, sizeof lane);
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

}  // namespace

void decode_indexed_scalar(const TableSetView &tables, const uint8_t *table_of_symbol, int16_t *symbols, size_t count,
                           unsigned lanes, DecoderState &state) {
    decode(tables, table_of_symbol, symbols, count, lanes, state);
}

void decode_channels_scalar(const TableSetView &tables, const uint16_t *table_of_symbol, int16_t *symbols,
                            size_t count, unsigned lanes, DecoderState &state) {
    decode(tables, table_of_symbol, symbols, count, lanes, state);
}

}  // namespace edgecodec
