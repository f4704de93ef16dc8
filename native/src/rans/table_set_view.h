// Coding tables as the kernels see them: plain data and plain pointers. Code that is compiled for a larger instruction
// set must not instantiate inline functions: the linker could pick that instance for every processor.
#pragma once

#include <cstddef>
#include <cstdint>

namespace edgecodec {

constexpr unsigned kProbabilityBits = 14;
constexpr uint32_t kProbabilitySum = 1u << kProbabilityBits;
constexpr unsigned kMaxRanks = 64;

// Six bits keep the buckets of 64 tables within 32 KiB, which fits the smaller first-level caches.
constexpr unsigned kBucketBits = 6;

// A ladder row holds one threshold of each table, and the SIMD decoders look 64 of them up at once.
constexpr size_t kLadderTables = 64;

// Beyond its last rank a table has thresholds that no slot reaches. There are more rows than ranks, because kernels
// climb several rungs at a time.
constexpr size_t kLadderRows = kMaxRanks + 4;

// All that decides most symbols, in eight bytes that never cross a cache line.
struct RankEntry {
    uint16_t start, frequency;
    int16_t value;  // meaningless where `special`
    uint8_t rank;
    uint8_t special;  // 1: the rank alone does not give the value; complete_symbol does
};

// The first rank, for symbols that hardly ever have another one.
struct LikeliestRank {
    uint16_t frequency;  // 0 where the rank is special
    int16_t value;
};

struct TableShape {
    int16_t mode;
    int8_t sign;
    uint8_t raw_bits;
    uint8_t escape;  // the last rank
};

struct TableSetView {
    const RankEntry *buckets;        // [table][1 << kBucketBits]: the rank at the first slot of the bucket
    const RankEntry *ranks;          // [table][kMaxRanks]
    const LikeliestRank *likeliest;  // [table]
    const TableShape *shapes;        // [table]

    // The ladder; null for sets without one.
    const uint16_t *ladder;       // [rank][kLadderTables]: start + frequency
    const uint8_t *ladder_low;    // the same, low bytes
    const uint8_t *ladder_high;   // high bytes
    const uint8_t *likely_rungs;  // [kLadderTables]: rungs after the first that decide most symbols
    const uint16_t *raw_bits;     // [kLadderTables]
    const uint8_t *escapes;       // [kLadderTables]
    uint8_t smallest_escape;
    uint8_t first_raw;  // no table below this one has raw bits
};

}  // namespace edgecodec
