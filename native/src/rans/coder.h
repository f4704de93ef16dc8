// Interleaved rANS with a table or an interval per symbol (docs/format.md, section 2).
//
// Both classes take a picture's steps in decoding order. In every call the tables named must exist in the set: the owners
// of the indices prove that once, not per symbol.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "rans/coding_tables.h"
#include "rans/decoder_state.h"
#include "rans/encoder_kernels.h"

namespace edgecodec {

class RangeEncoder {
public:
    // One step. Throws Failure(EC_OUT_OF_RANGE) at a value that its table cannot carry.
    void add(const CodingTables &tables, const uint8_t *table_of_symbol, const int16_t *symbols, size_t count);
    void add(const CodingTables &tables, const uint16_t *table_of_symbol, const int16_t *symbols, size_t count);

    // A step of symbols with intervals of their own, one at a time (range_encoder_intervals.cpp). It ends with the next
    // step or the payload.
    void begin();
    void add_interval(uint32_t start, uint32_t width);
    void add_symbol(const TableSetView &tables, size_t table, int16_t value);
    // Side bits of a value at this distance. Throws Failure(EC_OUT_OF_RANGE) for one that no escape carries.
    void add_escape(int32_t distance);

    // What all symbols so far take without states, rounded up: docs/format.md, 2.6.
    uint64_t bits();

    // The payload. `lanes` 0 is replaced by the choice of docs/format.md, 2.6.
    std::vector<uint8_t> finish(uint32_t &lanes, uint32_t digest);

private:
    template <class Index>
    void add_step(const CodingTables &tables, const Index *table_of_symbol, const int16_t *symbols, size_t count);
    uint64_t side_bits() const;
    uint32_t choose_lanes() const;
    uint64_t exact_bits() const;
    void end();
    [[noreturn]] static void refuse(int32_t distance);

    struct Step {
        std::unique_ptr<uint32_t[]> intervals;
        size_t count;
        unsigned probability_bits;  // the intervals are out of this power of two
    };
    std::vector<Step> steps_;
    std::vector<uint32_t> open_;  // intervals of the step that has begun
    bool is_open_ = false;
    std::vector<uint8_t> side_bytes_;
    SideWriter side_ = {};
};

class RangeDecoder {
public:
    // Throws Failure(EC_CORRUPT), offsets within the payload, as every function here does.
    RangeDecoder(const uint8_t *payload, size_t size, uint32_t lanes);
    RangeDecoder(const RangeDecoder &) = delete;
    RangeDecoder &operator=(const RangeDecoder &) = delete;

    void decode(const CodingTables &tables, const uint8_t *table_of_symbol, int16_t *symbols, size_t count, bool last);
    void decode(const CodingTables &tables, const uint16_t *table_of_symbol, int16_t *symbols, size_t count, bool last);

    // A step of symbols with intervals of their own, one at a time: `count` matters to the last step alone. A symbol is
    // a slot, below 2^16, that the caller finds the interval of, and then `take`.
    void begin(size_t count, bool last);
    uint32_t slot() {
        while (part_left_ == 0) next_part();
        return state_.lane[lane_] & 65535;
    }
    void take(uint32_t start, uint32_t width) {
        uint32_t &state = state_.lane[lane_];
        state = width * (state >> 16) + (state & 65535) - start;
        if (state < kStateLow) state = state << 16 | next_word();
        lane_ = (lane_ + 1) & (lanes_ - 1);
        --part_left_;
    }
    int16_t decode_symbol(const TableSetView &tables, size_t table);
    // The distance that an escape stands for.
    int32_t decode_escape();

    // Checks what the format demands of the end of a payload and returns the digest that the encoder put in.
    uint32_t finish();

private:
    template <class Index>
    void decode_step(const TableSetView &tables, const Index *table_of_symbol, int16_t *symbols, size_t count, bool last);
    template <class Index>
    void decode_part(const TableSetView &tables, const Index *&table_of_symbol, int16_t *&symbols, size_t count);
    void throw_fault() const;
    uint32_t next_word();
    void next_part();
    void narrow(unsigned lanes);
    void check_leftover_words() const;

    std::vector<uint8_t> stream_;  // words and side stream, with room around them for whole-vector loads
    size_t stream_size_ = 0;
    size_t payload_size_ = 0;
    size_t words_size_ = 0;  // bytes of words, known once the ramp begins
    size_t tail8_ = 0, tail2_ = 0;
    bool last_begun_ = false, ramp_begun_ = false, ended_ = false;
    size_t part_left_ = 0;  // symbols of the part at hand
    unsigned lanes_;        // of the part at hand
    unsigned lane_ = 0;     // of the next symbol
    DecoderState state_ = {};
    uint8_t ramp_words_[2 * kMaxLanes + kWordPadding] = {};
};

}  // namespace edgecodec
