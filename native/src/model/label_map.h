// Lossless coding of label maps by adaptive binary decisions (docs/format.md, section 4).
//
// One path serves both directions. A bit coder has
//     bool code(bool bit, uint32_t probability_of_one);
// where the probability is in 1/65536, 1 to 65535. An encoder's keeps the decision `bit` and gives it back; a decoder's
// ignores `bit` and gives the decision that was coded, which may be any: every sequence of decisions is some map.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace edgecodec {

// How likely a decision is to be a one, and how many decisions that is learned from: the more, the slower it changes.
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

    // How much of the way to a decision an estimate goes, in 2^-16. A table, for a division would take longer than all else.
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

// What is learned of one map, and the rows of it that are still looked at.
class LabelModel {
public:
    // 1 <= columns, 1 <= classes <= 256.
    LabelModel(size_t columns, unsigned classes);

    // Before every row.
    void begin_row();

    // The labels of a row from left to right. `label` matters to an encoder alone.
    template <class BitCoder>
    unsigned code(BitCoder &coder, size_t column, unsigned label) {
        const Neighbours neighbours = look(column);
        return here_[column] = static_cast<uint8_t>(code_label(coder, neighbours, label));
    }

private:
    static constexpr size_t kMargin = 2;
    static constexpr unsigned kNearest = 4;     // neighbours that may be what the label is
    static constexpr unsigned kShapeBits = 10;  // neighbours that tell a shape
    static constexpr unsigned kValueBits = 16;

    struct Neighbours {
        uint8_t label[kShapeBits];    // the nearest first
        uint8_t candidate[kNearest];  // the different ones of the nearest
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

    // A class besides the refused candidates, halving what is left of the classes.
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
    unsigned classes_, span_;  // span_: the classes, up to a power of two
    std::vector<uint8_t> window_;
    uint8_t *here_, *above_, *two_above_;
    std::vector<BitEstimate> by_values_, by_shape_, by_class_;
};

// labels: rows * columns of 0..classes-1, where both sides are 1 or more and classes is 1 to 256.
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

// What encode_label_map was given, or some other such map from decisions that it did not make.
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
