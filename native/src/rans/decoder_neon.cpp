// Threshold ladder with NEON: 32 lanes at a time, states as four vectors of 16-bit halves.
//
// A symbol's rank is the number of thresholds (start + frequency of a rank) of its table that its slot has reached.
// Ranks are sorted by probability, so a few rungs decide nearly every row. "Threshold j of table t", for up to 64
// tables, is one table lookup per byte of the threshold: no memory is gathered.
#include <arm_neon.h>

#include "rans/decoder_state.h"
#include "rans/word_shuffles.h"

namespace edgecodec {
namespace {

constexpr unsigned kGroup = 32;
constexpr unsigned kVectorLanes = 8;
constexpr unsigned kGroupVectors = kGroup / kVectorLanes;

// The first rungs are climbed without checking whether any lane still needs them.
constexpr unsigned kSureRungs = 3;

// Eight lanes.
struct States {
    uint16x8_t high, low;
};

// One row of the ladder: the thresholds of the tables of 32 lanes.
struct Rung {
    uint16x8_t threshold[kGroupVectors];

    Rung(const TableSetView &tables, unsigned rung, const uint8x16_t table[2]) {
        const uint8x16x4_t low = vld1q_u8_x4(tables.ladder_low + rung * kLadderTables);
        const uint8x16x4_t high = vld1q_u8_x4(tables.ladder_high + rung * kLadderTables);
        for (unsigned half = 0; half < 2; ++half) {
            const uint8x16_t low_bytes = vqtbl4q_u8(low, table[half]);
            const uint8x16_t high_bytes = vqtbl4q_u8(high, table[half]);
            threshold[2 * half] = vreinterpretq_u16_u8(vzip1q_u8(low_bytes, high_bytes));
            threshold[2 * half + 1] = vreinterpretq_u16_u8(vzip2q_u8(low_bytes, high_bytes));
        }
    }
};

// The positions of eight lanes on the ladder.
struct Climb {
    uint16x8_t slot, start, end, rank;  // the rank's slots are [start, end)
    uint16x8_t reached;                 // all ones where the slot has reached the end

    Climb() = default;
    Climb(uint16x8_t low, uint16x8_t first_threshold) {
        slot = vandq_u16(low, vdupq_n_u16(kProbabilitySum - 1));
        start = rank = vdupq_n_u16(0);
        end = first_threshold;
        reached = vcgeq_u16(slot, end);
    }

    void step(uint16x8_t threshold) {
        start = vbslq_u16(reached, end, start);
        rank = vsubq_u16(rank, reached);
        end = vbslq_u16(reached, threshold, end);
        reached = vcgeq_u16(slot, end);
    }

    // state = frequency * (state >> 14) + slot - start. With state = high : low, that is
    // 4 * frequency * high + (frequency * (low >> 14) + slot - start), and the bracket fits 16 bits.
    void advance(States &state) const {
        const uint16x8_t frequency = vsubq_u16(end, start);
        const uint16x8_t scaled = vshlq_n_u16(frequency, 16 - kProbabilityBits);
        const uint16x8_t rest = vmlaq_u16(vsubq_u16(slot, start), frequency, vshrq_n_u16(state.low, kProbabilityBits));
        const uint16x8_t first = vreinterpretq_u16_u32(
            vmlal_u16(vmovl_u16(vget_low_u16(rest)), vget_low_u16(scaled), vget_low_u16(state.high)));
        const uint16x8_t second = vreinterpretq_u16_u32(vmlal_high_u16(vmovl_high_u16(rest), scaled, state.high));
        state = {vuzp2q_u16(first, second), vuzp1q_u16(first, second)};
    }

    // The value of an ordinary rank: 0, 1, -1, 2, -2, ...
    int16x8_t value() const {
        const uint16x8_t one = vdupq_n_u16(1);
        const uint16x8_t size = vshrq_n_u16(vaddq_u16(rank, one), 1);
        const uint16x8_t negate = vsubq_u16(vandq_u16(rank, one), one);
        return vreinterpretq_s16_u16(vsubq_u16(veorq_u16(size, negate), negate));
    }
};

// Gives the next words to the lanes that have fallen below 2^16 and returns the address after those words.
inline const uint8_t *refill(States &state, const uint8_t *words) {
    // One sum gives the mask of the lanes in its low byte and their number above it.
    const uint16x8_t mask_and_one = {0x101, 0x102, 0x104, 0x108, 0x110, 0x120, 0x140, 0x180};
    const uint16x8_t due = vceqzq_u16(state.high);
    const unsigned sum = vaddvq_u16(vandq_u16(due, mask_and_one));
    const uint8x16_t lookup = vld1q_u8(kWordShuffles.of_mask[sum & 255]);
    state.high = vbslq_u16(due, state.low, state.high);
    state.low = vreinterpretq_u16_u8(vqtbx1q_u8(vreinterpretq_u8_u16(state.low), vld1q_u8(words), lookup));
    return words + 2 * (sum >> 8);
}

// Takes the values of the lanes in `special` from the side stream, 16 lanes a call.
__attribute__((noinline)) void complete(const TableSetView &tables, const uint8_t *table_of_symbol, int16_t *symbols,
                                        uint8x16_t ranks, uint8x16_t special, DecoderState &state) {
    uint8_t rank[16];
    vst1q_u8(rank, ranks);
    // A mask of four bits a lane.
    const uint8x8_t narrow = vshrn_n_u16(vreinterpretq_u16_u8(special), 4);
    uint64_t mask = vget_lane_u64(vreinterpret_u64_u8(narrow), 0) & 0x1111111111111111;
    for (; mask != 0; mask &= mask - 1) {
        const unsigned lane = static_cast<unsigned>(__builtin_ctzll(mask)) / 4;
        symbols[lane] = complete_symbol(tables, table_of_symbol[lane], rank[lane], state);
    }
}

inline bool any(uint16x8_t lanes) { return vmaxvq_u16(lanes) != 0; }

// Always inlined, so that the states stay in registers from row to row.
__attribute__((always_inline)) inline const uint8_t *decode_group(const TableSetView &tables,
                                                                  const uint8_t *table_of_symbol, int16_t *symbols,
                                                                  const uint8_t *words, States *states,
                                                                  DecoderState &state) {
    const uint8x16_t table[2] = {vld1q_u8(table_of_symbol), vld1q_u8(table_of_symbol + 16)};
    Climb climbs[kGroupVectors];
    {
        const Rung first(tables, 0, table);
        for (unsigned v = 0; v < kGroupVectors; ++v) climbs[v] = Climb(states[v].low, first.threshold[v]);
    }
    const auto climb = [&](unsigned rung) __attribute__((always_inline)) {
        const Rung next(tables, rung, table);
        for (unsigned v = 0; v < kGroupVectors; ++v) climbs[v].step(next.threshold[v]);
    };
    unsigned rungs = 1;
#pragma GCC unroll 4
    for (; rungs < kSureRungs; ++rungs) climb(rungs);
    for (;; ++rungs) {
        const uint16x8_t reached =
            vorrq_u16(vorrq_u16(climbs[0].reached, climbs[1].reached), vorrq_u16(climbs[2].reached, climbs[3].reached));
        if (!any(reached)) break;
        climb(rungs);
    }

    for (unsigned v = 0; v < kGroupVectors; ++v) {
        climbs[v].advance(states[v]);
        words = refill(states[v], words);
        vst1q_s16(symbols + v * kVectorLanes, climbs[v].value());
    }
    for (unsigned half = 0; half < 2; ++half) {
        const uint8x16_t ranks = vmovn_high_u16(vmovn_u16(climbs[2 * half].rank), climbs[2 * half + 1].rank);
        uint8x16_t special = vcgeq_u8(table[half], vdupq_n_u8(tables.first_raw));
        if (rungs > tables.smallest_escape) {
            special = vorrq_u8(special, vceqq_u8(ranks, vqtbl4q_u8(vld1q_u8_x4(tables.escapes), table[half])));
        }
        if (__builtin_expect(any(vreinterpretq_u16_u8(special)), 0)) {
            complete(tables, table_of_symbol + 16 * half, symbols + 16 * half, ranks, special, state);
        }
    }
    return words;
}

template <unsigned Lanes>
void decode(const TableSetView &tables, const uint8_t *table_of_symbol, int16_t *symbols, size_t count,
            DecoderState &state) {
    constexpr unsigned kVectors = Lanes / kVectorLanes;
    States states[kVectors];
    for (unsigned v = 0; v < kVectors; ++v) {
        const uint16x8_t first = vreinterpretq_u16_u32(vld1q_u32(state.lane + v * kVectorLanes));
        const uint16x8_t second = vreinterpretq_u16_u32(vld1q_u32(state.lane + v * kVectorLanes + 4));
        states[v] = {vuzp2q_u16(first, second), vuzp1q_u16(first, second)};
    }

    const uint8_t *words = state.words;
    size_t i = 0;
    for (; i + Lanes <= count && words <= state.words_end; i += Lanes) {
#pragma GCC unroll 2
        for (unsigned v = 0; v < kVectors; v += kGroupVectors) {
            const size_t first = i + v * kVectorLanes;
            words = decode_group(tables, table_of_symbol + first, symbols + first, words, states + v, state);
        }
    }

    for (unsigned v = 0; v < kVectors; ++v) {
        uint32_t *lane = state.lane + v * kVectorLanes;
        vst1q_u32(lane, vreinterpretq_u32_u16(vzip1q_u16(states[v].low, states[v].high)));
        vst1q_u32(lane + 4, vreinterpretq_u32_u16(vzip2q_u16(states[v].low, states[v].high)));
    }
    state.words = words;
    // The scalar decoder does a last row that is not full, and reports words that ran out.
    decode_indexed_scalar(tables, table_of_symbol + i, symbols + i, count - i, Lanes, state);
}

}  // namespace

void decode_indexed_neon(const TableSetView &tables, const uint8_t *table_of_symbol, int16_t *symbols, size_t count,
                         unsigned lanes, DecoderState &state) {
    if (lanes == 32) {
        decode<32>(tables, table_of_symbol, symbols, count, state);
    } else {
        decode<64>(tables, table_of_symbol, symbols, count, state);
    }
}

}  // namespace edgecodec
