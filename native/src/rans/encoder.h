// Interleaved rANS encoder with a table or an interval per symbol (docs/format.md, section 2).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "rans/coding_tables.h"
#include "rans/encoder_kernels.h"

namespace edgecodec {

// Takes a picture's steps in decoding order. Every table that an index names must exist in its set; the owners of the
// indices prove that once, not per symbol.
class RansEncoder {
public:
    // Adds one step. Throws Failure(EC_OUT_OF_RANGE) for a value that its table cannot carry.
    void add(const CodingTables &tables, const uint8_t *table_of_symbol, const int16_t *symbols, size_t count);
    void add(const CodingTables &tables, const uint16_t *table_of_symbol, const int16_t *symbols, size_t count);

    // Begins a step whose symbols have intervals of their own and are added one at a time (encoder_intervals.cpp). The
    // step ends with the next one or with `bits` or `finish`.
    void begin();
    void add_interval(uint32_t start, uint32_t width);
    void add_symbol(const TableSetView &tables, size_t table, int16_t value);
    // Adds the side bits of a value at this distance. Throws Failure(EC_OUT_OF_RANGE) if no escape can carry it.
    void add_escape(int32_t distance);

    // Bits that all symbols so far take, without states, rounded up (docs/format.md, 2.6).
    uint64_t bits();

    // Returns the payload. `lanes` 0 is replaced by the choice of docs/format.md, 2.6.
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
        unsigned probability_bits;  // the intervals are out of 2^probability_bits
    };
    std::vector<Step> steps_;
    std::vector<uint32_t> open_;  // intervals of the step that `begin` began
    bool is_open_ = false;
    std::vector<uint8_t> side_bytes_;
    SideWriter side_ = {};
};

}  // namespace edgecodec
