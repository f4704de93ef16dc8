#include "range_coder.h"

#include <algorithm>
#include <cstring>
#include <string>

#include "status.h"

namespace edgecodec {
namespace {

unsigned bit_count(uint32_t value) { return value == 0 ? 1 : 32 - static_cast<unsigned>(__builtin_clz(value)); }

void put_varint(std::vector<uint8_t> &out, size_t value) {
    for (; value >= 128; value >>= 7) out.push_back(static_cast<uint8_t>(value | 128));
    out.push_back(static_cast<uint8_t>(value));
}

// The lanes of an encoder, which walks from the last symbol to the first.
class EncoderLanes {
public:
    explicit EncoderLanes(const std::vector<uint32_t> &intervals) : intervals_(intervals), words_(intervals.size()) {}

    void start_with(uint32_t digest) {
        lane_[0] = kStateLow + (digest & 65535);
        lane_[1] = kStateLow + (digest >> 16);
    }

    // Codes the symbols [begin, end) of a part that starts at `begin`.
    void code(size_t begin, size_t end, unsigned lanes) {
        for (size_t i = end; i-- > begin;) {
            uint32_t &state = lane_[(i - begin) & (lanes - 1)];
            const uint32_t start = intervals_[i] & 65535, frequency = intervals_[i] >> 16;
            if (state >> (32 - kProbabilityBits) >= frequency) {
                words_[word_count_++] = static_cast<uint16_t>(state);
                state >>= 16;
            }
            state = ((state / frequency) << kProbabilityBits) + state % frequency + start;
        }
    }

    // Codes whole rows from the end of [begin, end) as long as there are at most `room` words; returns the symbols coded.
    size_t code_tail(size_t begin, size_t end, unsigned lanes, size_t room) {
        size_t row = end;
        uint32_t before[kMaxLanes];
        while (row - begin >= lanes) {
            std::copy(lane_, lane_ + lanes, before);
            const size_t words_before = word_count_;
            code(row - lanes, row, lanes);
            if (word_count_ > room) {
                std::copy(before, before + lanes, lane_);
                word_count_ = words_before;
                break;
            }
            row -= lanes;
        }
        return end - row;
    }

    // Lanes [from, to) start with the words coded so far, the latest first, then zeros.
    void widen(unsigned from, unsigned to) {
        for (unsigned lane = from; lane < to; ++lane) {
            lane_[lane] = kStateLow + (word_count_ > 0 ? words_[--word_count_] : 0u);
        }
    }

    uint32_t state(unsigned lane) const { return lane_[lane]; }
    size_t word_count() const { return word_count_; }

    void append_words(std::vector<uint8_t> &out) const {
        for (size_t i = word_count_; i-- > 0;) {
            out.push_back(static_cast<uint8_t>(words_[i] & 255));
            out.push_back(static_cast<uint8_t>(words_[i] >> 8));
        }
    }

private:
    const std::vector<uint32_t> &intervals_;
    std::vector<uint16_t> words_;  // in the order of coding; no symbol makes more than one
    size_t word_count_ = 0;
    uint32_t lane_[kMaxLanes] = {};
};

}  // namespace

template <class Index>
void RangeEncoder::add_step(const CodingTables &tables, const Index *table_of_symbol, const int16_t *symbols,
                            size_t count) {
    const TableSetView set = tables.view();
    step_begins_.push_back(intervals_.size());
    intervals_.reserve(intervals_.size() + count);
    for (size_t i = 0; i < count; ++i) {
        const size_t table = table_of_symbol[i];
        const TableShape &shape = set.shapes[table];
        const int32_t distance = shape.sign * (symbols[i] - shape.mode);
        const int32_t width = 1 << shape.raw_bits, half = width >> 1;
        const int32_t interval = (distance + half) >> shape.raw_bits;
        const uint32_t rank = std::min<uint32_t>(zigzag(interval), shape.escape);
        const RankEntry &entry = set.ranks[table * kMaxRanks + rank];
        intervals_.push_back(entry.start | static_cast<uint32_t>(entry.frequency) << 16);
        if (rank == shape.escape) {
            add_escape(distance);
        } else if (shape.raw_bits > 0) {
            side_.put(static_cast<uint32_t>(distance + half - interval * width), shape.raw_bits);
        }
    }
}

void RangeEncoder::add_escape(int32_t distance) {
    const uint32_t magnitude = zigzag(distance);
    const unsigned bits = bit_count(magnitude);
    if (bits > 16) {
        throw Failure(EC_OUT_OF_RANGE, "latent lies " + std::to_string(distance) +
                                           " from the middle of its coding table, which carries -32767 to 32768");
    }
    side_.put(bits - 1, 4);
    side_.put(magnitude, bits);
}

void RangeEncoder::add(const CodingTables &tables, const uint8_t *table_of_symbol, const int16_t *symbols,
                       size_t count) {
    add_step(tables, table_of_symbol, symbols, count);
}

void RangeEncoder::add(const CodingTables &tables, const uint16_t *table_of_symbol, const int16_t *symbols,
                       size_t count) {
    add_step(tables, table_of_symbol, symbols, count);
}

uint32_t RangeEncoder::choose_lanes() const {
    static constexpr struct {
        uint32_t lanes;
        uint64_t below_bits;
    } kChoices[] = {{2, 8u << 10}, {8, 6 * (8u << 10)}, {32, 16 * (8u << 10)}};

    // The bits of all symbols are the logarithm of the product of their probabilities. The product of the frequencies is
    // kept as a 32-bit mantissa, in [2^31, 2^32), and an exponent.
    uint64_t bits = side_.bits(), mantissa = uint64_t{1} << 31, exponent = 0;
    for (size_t i = 0; i < intervals_.size() && bits <= exponent + kChoices[2].below_bits; ++i) {
        const uint64_t product = mantissa * (intervals_[i] >> 16);
        const unsigned shift = 32 - static_cast<unsigned>(__builtin_clzll(product));
        mantissa = product >> shift;
        exponent += shift;
        bits += kProbabilityBits;
    }
    for (const auto &choice : kChoices) {
        if (bits < exponent + choice.below_bits) return choice.lanes;
    }
    return kMaxLanes;
}

std::vector<uint8_t> RangeEncoder::finish(uint32_t &lanes, uint32_t digest) {
    if (lanes == 0) lanes = choose_lanes();
    if (lanes != 2 && lanes != 8 && lanes != 32 && lanes != 64) {
        throw Failure(EC_INVALID_ARGUMENT, "lanes must be 2, 8, 32 or 64");
    }

    EncoderLanes coder(intervals_);
    coder.start_with(digest);
    if (step_begins_.empty()) step_begins_.push_back(0);
    size_t end = intervals_.size(), tail2 = 0, tail8 = 0;
    if (lanes > 2) {
        tail2 = coder.code_tail(step_begins_.back(), end, 2, 6);
        coder.widen(2, 8);
        end -= tail2;
    }
    if (lanes > 8) {
        tail8 = coder.code_tail(step_begins_.back(), end, 8, lanes - 8);
        coder.widen(8, lanes);
        end -= tail8;
    }
    for (size_t step = step_begins_.size(); step-- > 0;) {
        coder.code(step_begins_[step], end, lanes);
        end = step_begins_[step];
    }

    std::vector<uint8_t> payload;
    if (lanes > 8) put_varint(payload, tail8);
    if (lanes > 2) put_varint(payload, tail2);
    BitWriter states;
    for (unsigned lane = 0; lane < lanes; ++lane) {
        const unsigned bits = bit_count(coder.state(lane)) - 1;
        states.put(bits - 16, 4);
        states.put(coder.state(lane) - (1u << bits), bits);
    }
    const std::vector<uint8_t> &head = states.finish(), &side = side_.finish();
    payload.reserve(payload.size() + head.size() + 2 * coder.word_count() + side.size());
    payload.insert(payload.end(), head.begin(), head.end());
    coder.append_words(payload);
    payload.insert(payload.end(), side.rbegin(), side.rend());
    return payload;
}

}  // namespace edgecodec
