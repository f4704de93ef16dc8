// Decodes symbols that have intervals of their own out of 2^16 (docs/format.md, 2.3), one at a time.
#include "rans/coding_tables.h"
#include "rans/decoder.h"
#include "support/status.h"

namespace edgecodec {

uint32_t RansDecoder::next_word() {
    if (state_.words >= state_.words_end) {
        state_.fault = DecodeFault::words_missing;
        throw_fault();
    }
    const uint32_t word = state_.words[0] | static_cast<uint32_t>(state_.words[1]) << 8;
    state_.words += 2;
    return word;
}

int16_t RansDecoder::decode_symbol(const TableSetView &tables, size_t table) {
    const uint32_t slot = this->slot() >> 2;
    const RankEntry *entry = &tables.buckets[table << kBucketBits | slot >> (kProbabilityBits - kBucketBits)];
    for (const RankEntry *ranks = &tables.ranks[table * kMaxRanks];
         slot >= static_cast<uint32_t>(entry->start) + entry->frequency;) {
        entry = &ranks[entry->rank + 1];
    }
    take(4u * entry->start, 4u * entry->frequency);
    if (entry->special == 0) return entry->value;
    const int16_t value = complete_symbol(tables, static_cast<unsigned>(table), entry->rank, state_);
    throw_fault();
    return value;
}

int32_t RansDecoder::decode_escape() {
    const int32_t distance = escaped_distance(state_);
    throw_fault();
    return distance;
}

}  // namespace edgecodec
