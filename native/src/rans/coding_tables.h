// Coding tables (docs/format.md, 2.1): the frequency of each rank, and the value that a rank stands for.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "rans/table_set_view.h"
#include "support/aligned_vector.h"
#include "support/byte_reader.h"

namespace edgecodec {

constexpr unsigned kMaxRawBits = 12;

// The order of values by rank: 0, 1, -1, 2, -2, ...
constexpr uint32_t zigzag(int32_t value) {
    // Without a branch, because a value's sign is unpredictable. The shift gives all ones for a positive value.
    return (0u - static_cast<uint32_t>(value)) << 1 ^ static_cast<uint32_t>(-value >> 31);
}
constexpr int32_t unzigzag(uint32_t rank) {
    const int32_t half = static_cast<int32_t>(rank >> 1);
    return (rank & 1) != 0 ? half + 1 : -half;
}

class CodingTables {
public:
    // Reads one table set; throws Failure with the reader's status at the first field that breaks the format.
    static CodingTables parse(ByteReader &reader);

    size_t size() const { return shapes_.size(); }

    // Valid as long as the tables are.
    TableSetView view() const;

private:
    void parse_table(ByteReader &reader);
    void build_ladder();

    std::vector<RankEntry> buckets_, ranks_;
    std::vector<LikeliestRank> likeliest_;
    std::vector<TableShape> shapes_;
    AlignedVector<uint16_t> ladder_, raw_bits_;
    AlignedVector<uint8_t> ladder_low_, ladder_high_, likely_rungs_, escapes_;
    uint8_t smallest_escape_ = 0, first_raw_ = 0;
};

}  // namespace edgecodec
