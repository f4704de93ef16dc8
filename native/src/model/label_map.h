// Lossless coding of label maps by adaptive binary decisions (docs/format.md, section 4).
//
// The same code serves both directions. A bit coder has
//     bool code(bool bit, uint32_t probability_of_one);
// where the probability is in 1/65536, 1 to 65535. An encoder codes the decision `bit` and returns it; a decoder
// ignores `bit` and returns the decision that was coded. Every sequence of decisions is a valid map.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace edgecodec {

// The estimated probability that a decision is a one. The more decisions it has seen, the slower it changes.
class BitEstimate {
public:
    BitEstimate() : probability_(kOne / 2), decisions_(0) {}

    uint32_t probability() const { return probability_; }  // in 2^-24

    void learn(bool bit) {
        const uint64_t share = kShares.of[decisions_];
        if (bit) {
            probability_ += static_cast<uint32_t>((kOne - probability_) * share >> 16);
        } else {
            probability_ -= static_cast<uint32_t>(probability_ * share >> 16);
        }
        decisions_ += decisions_ < kMostDecisions;
    }

private:
    static constexpr uint32_t kOne = 1u << 24, kMostDecisions = 255;

    // The fraction of the distance to a decision by which an estimate moves, in 2^-16. A table, because a division
    // would take longer than everything else.
    struct Shares {
        constexpr Shares() {
            for (uint32_t i = 0; i <= kMostDecisions; ++i) of[i] = static_cast<uint16_t>((1u << 17) / (2 * i + 3));
        }
        uint16_t of[kMostDecisions + 1] = {};
    };
    static const Shares kShares;

    uint32_t probability_ : 24, decisions_ : 8;
};

inline constexpr BitEstimate::Shares BitEstimate::kShares;

// The adaptive estimates for one map, and the rows of it that contexts still read.
class LabelModel {
public:
    // 1 <= columns, 1 <= classes <= 256.
    LabelModel(size_t columns, unsigned classes);

    // Call before every row.
    void begin_row();

    // Codes the labels of a row from left to right. Only an encoder uses `label`.
    template <class BitCoder>
    unsigned code(BitCoder &coder, size_t column, unsigned label) {
        const Neighbours neighbours = look(column);
        return here_[column] = static_cast<uint8_t>(code_label(coder, neighbours, label));
    }

private:
    static constexpr size_t kMargin = 2;
    static constexpr unsigned kNearest = 4;     // neighbours that propose the label
    static constexpr unsigned kShapeBits = 10;  // neighbours that form the shape context
    static constexpr unsigned kValueBits = 16;

    struct Neighbours {
        uint8_t label[kShapeBits];    // the nearest first
        uint8_t candidate[kNearest];  // the distinct labels of the nearest
        unsigned candidates;
        uint32_t values;  // a hash of the nearest
    };

    Neighbours look(size_t column) const {
        const uint8_t *const here = here_ + column, *const above = above_ + column, *const two = two_above_ + column;
        Neighbours found = {
            {here[-1], above[0], above[1], above[-1], above[2], above[-2], here[-2], two[0], two[2], two[-2]},
            {},
            0,
            0};
        for (unsigned i = 0; i < kNearest; ++i) {
            found.values |= static_cast<uint32_t>(found.label[i]) << 8 * i;
            uint8_t *const end = found.candidate + found.candidates;
            if (std::find(found.candidate, end, found.label[i]) == end) {
                *end = found.label[i];
                ++found.candidates;
            }
        }
        found.values = found.values * 0x9E3779B1u >> (32 - kValueBits);
        return found;
    }

    template <class BitCoder>
    unsigned code_label(BitCoder &coder, const Neighbours &neighbours, unsigned label) {
        unsigned refused = 0;
        for (; refused < neighbours.candidates && refused + 1 < classes_; ++refused) {
            const uint8_t candidate = neighbours.candidate[refused];
            unsigned shape = 0;
            for (const uint8_t neighbour : neighbours.label) shape = shape << 1 | (neighbour == candidate);
            if (decide(coder, label == candidate, by_values_[neighbours.values ^ refused],
                       by_shape_[refused << kShapeBits | shape])) {
                return candidate;
            }
        }
        return code_other(coder, neighbours, refused, label);
    }

    // Codes a class other than the refused candidates by bisection of the classes.
    template <class BitCoder>
    unsigned code_other(BitCoder &coder, const Neighbours &neighbours, unsigned refused, unsigned label) {
        const auto may_be_within = [&](unsigned low, unsigned beyond) {
            const auto within = [=](uint8_t candidate) { return low <= candidate && candidate < beyond; };
            beyond = std::min(beyond, classes_);
            return low + std::count_if(neighbours.candidate, neighbours.candidate + refused, within) < beyond;
        };
        BitEstimate *const anywhere = by_class_.data(), *const beside = anywhere + (1u + neighbours.label[0]) * span_;
        unsigned low = 0, node = 1;
        for (unsigned half = span_ / 2; half > 0; half /= 2) {
            const unsigned middle = low + half;
            bool upper = !may_be_within(low, middle);
            if (!upper && may_be_within(middle, middle + half)) {
                upper = decide(coder, label >= middle, anywhere[node], beside[node]);
            }
            node = 2 * node + upper;
            low += upper ? half : 0;
        }
        return low;
    }

    template <class BitCoder>
    static bool decide(BitCoder &coder, bool bit, BitEstimate &one, BitEstimate &other) {
        const uint32_t mean = (one.probability() + other.probability()) >> 9;
        bit = coder.code(bit, std::clamp<uint32_t>(mean, 1, 65535));
        one.learn(bit);
        other.learn(bit);
        return bit;
    }

    size_t columns_;
    unsigned classes_, span_;  // span_: the classes, rounded up to a power of two
    std::vector<uint8_t> window_;
    uint8_t *here_, *above_, *two_above_;
    std::vector<BitEstimate> by_values_, by_shape_, by_class_;
};

// labels: rows * columns values of 0..classes-1; rows and columns are 1 or more, classes is 1 to 256.
template <class BitCoder>
void encode_label_map(BitCoder &coder, const int16_t *labels, size_t rows, size_t columns, unsigned classes) {
    LabelModel model(columns, classes);
    for (size_t row = 0; row < rows; ++row, labels += columns) {
        model.begin_row();
        for (size_t column = 0; column < columns; ++column) {
            model.code(coder, column, static_cast<unsigned>(labels[column]));
        }
    }
}

// The map that was encoded; for decisions of another origin, some other valid map.
template <class BitCoder>
void decode_label_map(BitCoder &coder, int16_t *labels, size_t rows, size_t columns, unsigned classes) {
    LabelModel model(columns, classes);
    for (size_t row = 0; row < rows; ++row, labels += columns) {
        model.begin_row();
        for (size_t column = 0; column < columns; ++column) {
            labels[column] = static_cast<int16_t>(model.code(coder, column, 0));
        }
    }
}

}  // namespace edgecodec
