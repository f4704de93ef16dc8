// Everything of a payload but the inner loops: side stream, choice of lanes, ramp, states.
#include "range_coder.h"

#include <algorithm>
#include <memory>
#include <string>

#include "kernels.h"
#include "range_encoder_kernels.h"
#include "status.h"

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "words are stored as they lie in memory");

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
    explicit EncoderLanes(size_t symbols)
        : room_(new uint16_t[kEncoderPadding + symbols]), end_(room_.get() + kEncoderPadding + symbols), words_(end_) {}

    void start_with(uint32_t digest) {
        lane_[0] = kStateLow + (digest & 65535);
        lane_[1] = kStateLow + (digest >> 16);
    }

    // Codes all symbols of a part.
    void code(const uint32_t *intervals, size_t count, unsigned lanes) {
        // Of a last row that is not full every symbol is a row of one lane.
        size_t i = count;
        while (i % lanes != 0) {
            --i;
            words_ = encode_rows_scalar(intervals + i, 1, 1, lane_ + i % lanes, words_);
        }
        const EncodeRows encode = lanes >= 32 ? kernels().encode_rows : encode_rows_scalar;
        words_ = encode(intervals, i / lanes, lanes, lane_, words_);
    }

    // Codes whole rows from the end of a part as long as there are at most `room` words; returns the symbols coded.
    size_t code_ramp(const uint32_t *intervals, size_t count, unsigned lanes, size_t room) {
        const size_t skipped = count % lanes;
        return lanes * encode_ramp(intervals + skipped, count / lanes, lanes, lane_, room - word_count(), words_);
    }

    // Lanes [from, to) start with the words coded so far, the latest first, then zeros.
    void widen(unsigned from, unsigned to) {
        for (unsigned lane = from; lane < to; ++lane) lane_[lane] = kStateLow + (words_ < end_ ? *words_++ : 0u);
    }

    uint32_t state(unsigned lane) const { return lane_[lane]; }
    const uint16_t *words() const { return words_; }
    size_t word_count() const { return static_cast<size_t>(end_ - words_); }

private:
    std::unique_ptr<uint16_t[]> room_;  // filled from its end; no symbol makes more than one word
    uint16_t *end_, *words_;
    uint32_t lane_[kMaxLanes] = {};
};

void find_intervals(const TableSetView &tables, const uint8_t *table_of_symbol, const int16_t *symbols, size_t count,
                    uint32_t *intervals, uint32_t *special) {
    const FindIntervals find = tables.ladder != nullptr ? kernels().find_intervals : find_intervals_scalar;
    find(tables, table_of_symbol, symbols, count, intervals, special);
}

void find_intervals(const TableSetView &tables, const uint16_t *table_of_symbol, const int16_t *symbols, size_t count,
                    uint32_t *intervals, uint32_t *special) {
    find_channel_intervals_scalar(tables, table_of_symbol, symbols, count, intervals, special);
}

}  // namespace

template <class Index>
void RangeEncoder::add_step(const CodingTables &tables, const Index *table_of_symbol, const int16_t *symbols,
                            size_t count) {
    constexpr size_t kBlock = 2048;
    uint32_t special[kBlock / kSpecialGroup];
    const TableSetView set = tables.view();
    uint32_t *const intervals = new uint32_t[count];
    steps_.push_back({std::unique_ptr<uint32_t[]>(intervals), count});
    for (size_t block = 0; block < count; block += kBlock) {
        const size_t end = std::min(block + kBlock, count);
        find_intervals(set, table_of_symbol + block, symbols + block, end - block, intervals + block, special);
        for (size_t group = block; group < end; group += kSpecialGroup) {
            for (uint32_t mask = special[(group - block) / kSpecialGroup]; mask != 0; mask &= mask - 1) {
                const size_t i = group + static_cast<size_t>(__builtin_ctz(mask));
                add_side_bits(set.shapes[table_of_symbol[i]], symbols[i]);
            }
        }
    }
}

void RangeEncoder::add_side_bits(const TableShape &shape, int32_t symbol) {
    const int32_t distance = shape.sign * (symbol - shape.mode);
    const int32_t width = 1 << shape.raw_bits, half = width >> 1;
    const int32_t interval = (distance + half) >> shape.raw_bits;
    if (zigzag(interval) >= shape.escape) {
        add_escape(distance);
    } else {
        side_.put(static_cast<uint32_t>(distance + half - interval * width), shape.raw_bits);
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

namespace {

struct {
    uint32_t lanes;
    uint64_t below_bits;
} constexpr kChoices[] = {{2, 8u << 10}, {8, 6 * (8u << 10)}, {32, 16 * (8u << 10)}, {kMaxLanes, UINT64_MAX}};

uint32_t lanes_for(uint64_t bits) {
    const auto *choice = kChoices;
    while (bits >= choice->below_bits) ++choice;
    return choice->lanes;
}

}  // namespace

// The bits of all symbols are the logarithm of the product of their probabilities. Bounds of it are nearly always enough.
uint32_t RangeEncoder::choose_lanes() const {
    constexpr size_t kBlock = 65536;
    uint64_t bits = side_.bits(), logarithms = 0, slack = 0, least = bits;
    for (const Step &step : steps_) {
        for (size_t block = 0; block < step.count; block += kBlock) {
            const size_t count = std::min(kBlock, step.count - block);
            bits += kProbabilityBits * count;
            logarithms += kernels().sum_logarithms(step.intervals.get() + block, count);
            slack += kLogarithmSlack * count;
            least = bits - std::min(bits, (logarithms + slack) >> kLogarithmBits);
            if (lanes_for(least) == kMaxLanes) return kMaxLanes;
        }
    }
    const uint32_t lanes = lanes_for(bits - (logarithms >> kLogarithmBits));
    return lanes == lanes_for(least) ? lanes : lanes_for(exact_bits());
}

// With the product of the frequencies as a 32-bit mantissa, in [2^31, 2^32), and an exponent.
uint64_t RangeEncoder::exact_bits() const {
    uint64_t bits = side_.bits(), mantissa = uint64_t{1} << 31, exponent = 0;
    for (const Step &step : steps_) {
        for (size_t i = 0; i < step.count; ++i) {
            const uint64_t product = mantissa * (step.intervals[i] >> 16);
            const unsigned shift = 32 - static_cast<unsigned>(__builtin_clzll(product));
            mantissa = product >> shift;
            exponent += shift;
        }
        bits += kProbabilityBits * step.count;
    }
    return bits - exponent;
}

std::vector<uint8_t> RangeEncoder::finish(uint32_t &lanes, uint32_t digest) {
    if (lanes == 0) lanes = choose_lanes();
    if (lanes != 2 && lanes != 8 && lanes != 32 && lanes != 64) {
        throw Failure(EC_INVALID_ARGUMENT, "lanes must be 2, 8, 32 or 64");
    }

    if (steps_.empty()) steps_.push_back({nullptr, 0});
    size_t total = 0;
    for (const Step &step : steps_) total += step.count;
    EncoderLanes coder(total);
    coder.start_with(digest);
    const Step &last = steps_.back();
    size_t left = last.count, tail2 = 0, tail8 = 0;
    if (lanes > 2) {
        tail2 = coder.code_ramp(last.intervals.get(), left, 2, 6);
        coder.widen(2, 8);
        left -= tail2;
    }
    if (lanes > 8) {
        tail8 = coder.code_ramp(last.intervals.get(), left, 8, lanes - 8);
        coder.widen(8, lanes);
        left -= tail8;
    }
    coder.code(last.intervals.get(), left, lanes);
    for (size_t step = steps_.size() - 1; step-- > 0;) {
        coder.code(steps_[step].intervals.get(), steps_[step].count, lanes);
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
    const uint8_t *const words = reinterpret_cast<const uint8_t *>(coder.words());
    payload.insert(payload.end(), words, words + 2 * coder.word_count());
    payload.insert(payload.end(), side.rbegin(), side.rend());
    return payload;
}

}  // namespace edgecodec
