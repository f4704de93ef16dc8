// Encodes symbols that have intervals of their own out of 2^16 (docs/format.md, 2.3), one at a time.
#include <algorithm>
#include <cstring>

#include "rans/coding_tables.h"
#include "rans/encoder.h"
#include "support/status.h"

namespace edgecodec {
namespace {

bool word_is_due(uint32_t interval, uint32_t lane) { return lane >> 16 >= interval >> 16; }

uint32_t advanced(uint32_t interval, uint32_t lane) {
    const uint32_t start = interval & 65535, width = interval >> 16;
    return lane + lane / width * (65536 - width) + start;
}

}  // namespace

uint16_t *encode_intervals(const uint32_t *intervals, size_t count, unsigned lanes, uint32_t *lane, uint16_t *words) {
    for (size_t i = count; i-- > 0;) {
        uint32_t &state = lane[i % lanes];
        if (word_is_due(intervals[i], state)) {
            *--words = static_cast<uint16_t>(state);
            state >>= 16;
        }
        state = advanced(intervals[i], state);
    }
    return words;
}

size_t encode_interval_ramp(const uint32_t *intervals, size_t rows, unsigned lanes, uint32_t *lane, size_t room,
                            uint16_t *&words) {
    size_t left = rows;
    for (; left > 0; --left) {
        const uint32_t *row = intervals + (left - 1) * lanes;
        size_t due = 0;
        for (unsigned l = 0; l < lanes; ++l) due += word_is_due(row[l], lane[l]);
        if (due > room) break;
        room -= due;
        words = encode_intervals(row, lanes, lanes, lane, words);
    }
    return rows - left;
}

void RansEncoder::begin() {
    end();
    is_open_ = true;
}

void RansEncoder::end() {
    if (!is_open_) return;
    Step step{std::unique_ptr<uint32_t[]>(new uint32_t[open_.size()]), open_.size(), 16};
    std::copy(open_.begin(), open_.end(), step.intervals.get());
    steps_.push_back(std::move(step));
    open_.clear();
    is_open_ = false;
}

void RansEncoder::add_interval(uint32_t start, uint32_t width) { open_.push_back(start | width << 16); }

void RansEncoder::add_symbol(const TableSetView &tables, size_t table, int16_t value) {
    const uint16_t index = static_cast<uint16_t>(table);
    uint8_t side_block[sizeof(uint64_t) + kMaxSideBits];
    side_.bits.next = side_block;
    uint32_t interval;
    find_channel_intervals_scalar(tables, &index, &value, 1, &interval, side_);
    side_bytes_.insert(side_bytes_.end(), side_block, side_.bits.next);
    if (side_.refused != 0) refuse(side_.refused);
    add_interval(4 * (interval & 65535), 4 * (interval >> 16));
}

void RansEncoder::add_escape(int32_t distance) {
    const uint32_t magnitude = zigzag(distance);
    const unsigned bits = magnitude == 0 ? 1 : 32 - static_cast<unsigned>(__builtin_clz(magnitude));
    if (bits > 16) refuse(distance);
    uint8_t side_block[sizeof(uint64_t) + kMaxSideBits];
    side_.bits.next = side_block;
    put_bits(side_.bits, bits - 1, 4);
    put_bits(side_.bits, magnitude, bits);
    side_bytes_.insert(side_bytes_.end(), side_block, side_.bits.next);
}

}  // namespace edgecodec
