// Interleaved rANS decoder with a table or an interval per symbol (docs/format.md, section 2).
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "rans/coding_tables.h"
#include "rans/decoder_state.h"

namespace edgecodec {

// Decodes a picture's steps in the order in which they were added to the encoder. Every table that an index names must
// exist in its set; the owners of the indices prove that once, not per symbol.
class RansDecoder {
public:
    // Like every function here, throws Failure(EC_CORRUPT) with offsets within the payload.
    RansDecoder(const uint8_t *payload, size_t size, uint32_t lanes);
    RansDecoder(const RansDecoder &) = delete;
    RansDecoder &operator=(const RansDecoder &) = delete;

    void decode(const CodingTables &tables, const uint8_t *table_of_symbol, int16_t *symbols, size_t count, bool last);
    void decode(const CodingTables &tables, const uint16_t *table_of_symbol, int16_t *symbols, size_t count, bool last);

    // Begins a step whose symbols have intervals of their own and are decoded one at a time (decoder_intervals.cpp).
    // For each symbol the caller finds the interval that `slot`, below 2^16, lies in, and calls `take`. Only the last
    // step uses `count`.
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

    // Checks the format's rules for the end of a payload and returns the digest that the encoder stored.
    uint32_t finish();

private:
    template <class Index>
    void decode_step(const TableSetView &tables, const Index *table_of_symbol, int16_t *symbols, size_t count,
                     bool last);
    template <class Index>
    void decode_part(const TableSetView &tables, const Index *&table_of_symbol, int16_t *&symbols, size_t count);
    void throw_fault() const;
    uint32_t next_word();
    void next_part();
    void narrow(unsigned lanes);
    void check_leftover_words() const;

    std::vector<uint8_t> stream_;  // words and side stream, padded for whole-vector loads
    size_t stream_size_ = 0;
    size_t payload_size_ = 0;
    size_t words_size_ = 0;  // bytes of words, known once the ramp begins
    size_t tail8_ = 0, tail2_ = 0;
    bool last_begun_ = false, ramp_begun_ = false, ended_ = false;
    size_t part_left_ = 0;  // symbols left in the current part
    unsigned lanes_;        // of the current part
    unsigned lane_ = 0;     // of the next symbol
    DecoderState state_ = {};
    uint8_t ramp_words_[2 * kMaxLanes + kWordPadding] = {};
};

}  // namespace edgecodec
