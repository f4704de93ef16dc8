// All of a payload but the inner loops: side stream, choice of lanes, ramp, states.
#include "rans/encoder.h"

#include <algorithm>
#include <memory>
#include <string>

#include "rans/encoder_kernels.h"
#include "rans/kernels.h"
#include "support/byte_writer.h"
#include "support/status.h"

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "words are stored in the order of memory");

namespace edgecodec {
namespace {

// The lanes of the encoder, which codes from the last symbol to the first.
class EncoderLanes {
public:
    explicit EncoderLanes(size_t symbols)
        : room_(new uint16_t[kEncoderPadding + symbols]), end_(room_.get() + kEncoderPadding + symbols), words_(end_) {}

    void start_with(uint32_t digest) {
        lane_[0] = kStateLow + (digest & 65535);
        lane_[1] = kStateLow + (digest >> 16);
    }

    // Codes all symbols of a part, whose intervals are out of 2^probability_bits.
    void code(const uint32_t *intervals, size_t count, unsigned lanes, unsigned probability_bits) {
        if (probability_bits != kProbabilityBits) {
            words_ = encode_intervals(intervals, count, lanes, lane_, words_);
            return;
        }
        // In a last row that is not full every symbol is coded as a row of one lane.
        size_t i = count;
        while (i % lanes != 0) {
            --i;
            words_ = encode_rows_scalar(intervals + i, 1, 1, lane_ + i % lanes, words_);
        }
        const EncodeRows encode = lanes >= 32 ? rans_kernels().encode_rows : encode_rows_scalar;
        words_ = encode(intervals, i / lanes, lanes, lane_, words_);
    }

    // Codes whole rows from the end of a part while that makes at most `room` words. Returns the number of symbols
    // coded.
    size_t code_ramp(const uint32_t *intervals, size_t count, unsigned lanes, size_t room, unsigned probability_bits) {
        const size_t skipped = count % lanes;
        const auto encode = probability_bits == kProbabilityBits ? encode_ramp : encode_interval_ramp;
        return lanes * encode(intervals + skipped, count / lanes, lanes, lane_, room - word_count(), words_);
    }

    // Starts lanes [from, to) with the words coded so far, the latest first, then with zeros.
    void widen(unsigned from, unsigned to) {
        for (unsigned lane = from; lane < to; ++lane) lane_[lane] = kStateLow + (words_ < end_ ? *words_++ : 0u);
    }

    uint32_t state(unsigned lane) const { return lane_[lane]; }
    const uint16_t *words() const { return words_; }
    size_t word_count() const { return static_cast<size_t>(end_ - words_); }

private:
    std::unique_ptr<uint16_t[]> room_;  // filled from its end; a symbol makes at most one word
    uint16_t *end_, *words_;
    uint32_t lane_[kMaxLanes] = {};
};

void find_intervals(const TableSetView &tables, const uint8_t *table_of_symbol, const int16_t *symbols, size_t count,
                    uint32_t *intervals, SideWriter &side) {
    const FindIntervals find = tables.ladder != nullptr ? rans_kernels().find_intervals : find_intervals_scalar;
    find(tables, table_of_symbol, symbols, count, intervals, side);
}

void find_intervals(const TableSetView &tables, const uint16_t *table_of_symbol, const int16_t *symbols, size_t count,
                    uint32_t *intervals, SideWriter &side) {
    find_channel_intervals_scalar(tables, table_of_symbol, symbols, count, intervals, side);
}

}  // namespace

template <class Index>
void RansEncoder::add_step(const CodingTables &tables, const Index *table_of_symbol, const int16_t *symbols,
                           size_t count) {
    constexpr size_t kBlock = 2048;
    uint8_t side_block[kBlock * kMaxSideBits / 8 + sizeof(uint64_t)];
    const TableSetView set = tables.view();
    end();
    uint32_t *const intervals = new uint32_t[count];
    steps_.push_back({std::unique_ptr<uint32_t[]>(intervals), count, kProbabilityBits});
    for (size_t begin = 0; begin < count; begin += kBlock) {
        side_.bits.next = side_block;
        find_intervals(set, table_of_symbol + begin, symbols + begin, std::min(kBlock, count - begin),
                       intervals + begin, side_);
        side_bytes_.insert(side_bytes_.end(), side_block, side_.bits.next);
    }
    if (side_.refused != 0) refuse(side_.refused);
}

void RansEncoder::refuse(int32_t distance) {
    throw Failure(EC_OUT_OF_RANGE, "latent lies " + std::to_string(distance) +
                                       " from the middle of its coding table, which carries -32767 to 32768");
}

void RansEncoder::add(const CodingTables &tables, const uint8_t *table_of_symbol, const int16_t *symbols,
                      size_t count) {
    add_step(tables, table_of_symbol, symbols, count);
}

void RansEncoder::add(const CodingTables &tables, const uint16_t *table_of_symbol, const int16_t *symbols,
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

uint64_t RansEncoder::side_bits() const { return 8 * uint64_t{side_bytes_.size()} + side_.bits.pending_bits; }

// The bits of all symbols are the logarithm of the product of their probabilities. Bounds on it nearly always suffice.
uint32_t RansEncoder::choose_lanes() const {
    constexpr size_t kBlock = 65536;
    uint64_t bits = side_bits(), logarithms = 0, slack = 0, least = bits;
    for (const Step &step : steps_) {
        if (step.probability_bits != kProbabilityBits) return lanes_for(exact_bits());
        for (size_t block = 0; block < step.count; block += kBlock) {
            const size_t count = std::min(kBlock, step.count - block);
            bits += kProbabilityBits * count;
            logarithms += rans_kernels().sum_logarithms(step.intervals.get() + block, count);
            slack += kLogarithmSlack * count;
            least = bits - std::min(bits, (logarithms + slack) >> kLogarithmBits);
            if (lanes_for(least) == kMaxLanes) return kMaxLanes;
        }
    }
    const uint32_t lanes = lanes_for(bits - (logarithms >> kLogarithmBits));
    return lanes == lanes_for(least) ? lanes : lanes_for(exact_bits());
}

// Keeps the product of the frequencies as a 32-bit mantissa, in [2^31, 2^32), and an exponent.
uint64_t RansEncoder::exact_bits() const {
    uint64_t bits = side_bits(), mantissa = uint64_t{1} << 31, exponent = 0;
    for (const Step &step : steps_) {
        for (size_t i = 0; i < step.count; ++i) {
            const uint64_t product = mantissa * (step.intervals[i] >> 16);
            const unsigned shift = 32 - static_cast<unsigned>(__builtin_clzll(product));
            mantissa = product >> shift;
            exponent += shift;
        }
        bits += step.probability_bits * step.count;
    }
    return bits - exponent;
}

uint64_t RansEncoder::bits() {
    end();
    return exact_bits();
}

std::vector<uint8_t> RansEncoder::finish(uint32_t &lanes, uint32_t digest) {
    end();
    if (lanes == 0) lanes = choose_lanes();
    if (lanes != 2 && lanes != 8 && lanes != 32 && lanes != 64) {
        throw Failure(EC_INVALID_ARGUMENT, "lanes must be 2, 8, 32 or 64");
    }

    if (steps_.empty()) steps_.push_back({nullptr, 0, kProbabilityBits});
    size_t total = 0;
    for (const Step &step : steps_) total += step.count;
    EncoderLanes coder(total);
    coder.start_with(digest);
    const Step &last = steps_.back();
    size_t left = last.count, tail2 = 0, tail8 = 0;
    if (lanes > 2) {
        tail2 = coder.code_ramp(last.intervals.get(), left, 2, 6, last.probability_bits);
        coder.widen(2, 8);
        left -= tail2;
    }
    if (lanes > 8) {
        tail8 = coder.code_ramp(last.intervals.get(), left, 8, lanes - 8, last.probability_bits);
        coder.widen(8, lanes);
        left -= tail8;
    }
    coder.code(last.intervals.get(), left, lanes, last.probability_bits);
    for (size_t step = steps_.size() - 1; step-- > 0;) {
        const Step &before = steps_[step];
        coder.code(before.intervals.get(), before.count, lanes, before.probability_bits);
    }

    std::vector<uint8_t> payload;
    if (lanes > 8) put_varint(payload, tail8);
    if (lanes > 2) put_varint(payload, tail2);
    uint8_t head[kMaxLanes * (4 + 31) / 8 + sizeof(uint64_t)];
    BitWriter states{head, 0, 0};
    for (unsigned lane = 0; lane < lanes; ++lane) {
        const unsigned bits = 31 - static_cast<unsigned>(__builtin_clz(coder.state(lane)));
        put_bits(states, bits - 16, 4);
        put_bits(states, coder.state(lane) - (1u << bits), bits);
    }
    finish_bits(states);
    if (side_.bits.pending_bits > 0) side_bytes_.push_back(static_cast<uint8_t>(side_.bits.pending));
    payload.reserve(payload.size() + sizeof head + 2 * coder.word_count() + side_bytes_.size());
    payload.insert(payload.end(), head, states.next);
    const uint8_t *const words = reinterpret_cast<const uint8_t *>(coder.words());
    payload.insert(payload.end(), words, words + 2 * coder.word_count());
    payload.insert(payload.end(), side_bytes_.rbegin(), side_bytes_.rend());
    return payload;
}

}  // namespace edgecodec
