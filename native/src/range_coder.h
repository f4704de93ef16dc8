// Interleaved rANS with a table per symbol (docs/format.md, section 2).
//
// Both classes take a picture's steps in decoding order. In every call the tables named by `table_of_symbol` must exist
// in the set: the owners of the indices prove that once, not per symbol.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "coding_tables.h"
#include "range_decoder_state.h"
#include "range_encoder_kernels.h"

namespace edgecodec {

class RangeEncoder {
public:
    // One step. Throws Failure(EC_OUT_OF_RANGE) at a value that its table cannot carry.
    void add(const CodingTables &tables, const uint8_t *table_of_symbol, const int16_t *symbols, size_t count);
    void add(const CodingTables &tables, const uint16_t *table_of_symbol, const int16_t *symbols, size_t count);

    // The payload. `lanes` 0 is replaced by the choice of docs/format.md, 2.6.
    std::vector<uint8_t> finish(uint32_t &lanes, uint32_t digest);

private:
    template <class Index>
    void add_step(const CodingTables &tables, const Index *table_of_symbol, const int16_t *symbols, size_t count);
    uint64_t side_bits() const;
    uint32_t choose_lanes() const;
    uint64_t exact_bits() const;

    struct Step {
        std::unique_ptr<uint32_t[]> intervals;
        size_t count;
    };
    std::vector<Step> steps_;
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

    // Checks what the format demands of the end of a payload and returns the digest that the encoder put in.
    uint32_t finish();

private:
    template <class Index>
    void decode_step(const TableSetView &tables, const Index *table_of_symbol, int16_t *symbols, size_t count, bool last);
    template <class Index>
    void decode_part(const TableSetView &tables, const Index *&table_of_symbol, int16_t *&symbols, size_t count);
    void narrow(unsigned lanes);
    void check_leftover_words() const;

    std::vector<uint8_t> stream_;  // words and side stream, with room around them for whole-vector loads
    size_t stream_size_ = 0;
    size_t payload_size_ = 0;
    size_t words_size_ = 0;  // bytes of words, known once the ramp begins
    size_t tail8_ = 0, tail2_ = 0;
    bool ended_ = false;
    unsigned lanes_;  // of the part at hand
    DecoderState state_ = {};
    uint8_t ramp_words_[2 * kMaxLanes + kWordPadding] = {};
};

}  // namespace edgecodec
