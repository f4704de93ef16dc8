#include "integer_layer.h"

#include <algorithm>

namespace edgecodec {
namespace {

// Weights as they are in the file: [output][kernel row][kernel column][input], one or two bytes each.
class RawWeights {
public:
    RawWeights(const uint8_t *data, size_t bytes) : data_(data), bytes_(bytes) {}
    int16_t operator[](size_t i) const {
        if (bytes_ == 1) return static_cast<int8_t>(data_[i]);
        return static_cast<int16_t>(static_cast<uint16_t>(data_[2 * i] | data_[2 * i + 1] << 8));
    }

private:
    const uint8_t *data_;
    size_t bytes_;
};

// Whether bias + sum of weight * input fits 32 bits for every input. Zero padding, and phases, drop taps, so 0 is among
// the values of every product; then bias plus any part of the sum fits as well. 2^32 products of 2^30 fit 64 bits.
bool accumulator_fits(int32_t bias, const RawWeights &weights, size_t first, size_t count, Interval input) {
    int64_t low = bias, high = bias;
    for (size_t i = first; i < first + count; ++i) {
        const int64_t one = int64_t{weights[i]} * input.low;
        const int64_t other = int64_t{weights[i]} * input.high;
        low += std::min({int64_t{0}, one, other});
        high += std::max({int64_t{0}, one, other});
    }
    return low >= INT32_MIN && high <= INT32_MAX;
}

// Writes descending thresholds to a tree in order and returns where it stopped reading them.
const int32_t *fill_tree(int32_t *tree, size_t node, const int32_t *descending) {
    if (node >= kTreeSlots) return descending;
    descending = fill_tree(tree, 2 * node, descending);
    tree[node] = *descending++;
    return fill_tree(tree, 2 * node + 1, descending);
}

}  // namespace

IntegerLayer::IntegerLayer(ByteReader &reader, Interval input) {
    read_geometry(reader);
    read_weights(reader, input);
    const uint8_t epilogue = reader.u8();
    if (epilogue > 1) reader.fail("has a layer with an unknown epilogue");
    if (epilogue == 0) {
        read_requantisation(reader);
    } else {
        read_thresholds(reader);
    }
}

void IntegerLayer::read_geometry(ByteReader &reader) {
    const uint8_t kind = reader.u8();
    if (kind > 1) reader.fail("has a layer of an unknown kind");
    transposed_ = kind == 1;
    kernel_ = reader.u8();
    stride_ = reader.u8();
    padding_ = reader.u8();
    output_padding_ = reader.u8();
    weight_bytes_ = reader.u8();
    input_channels_ = reader.u16();
    output_channels_ = reader.u16();
    if (stride_ < 1 || kernel_ < stride_) reader.fail("has a layer whose stride is 0 or exceeds its kernel");
    if (padding_ >= kernel_) reader.fail("has a layer padded by its kernel or more");
    if (output_padding_ >= (transposed_ ? stride_ : 1)) reader.fail("has a layer with too much output padding");
    if (weight_bytes_ != 1 && weight_bytes_ != 2) reader.fail("has weights that are neither 1 nor 2 bytes wide");
    if (input_channels_ == 0 || output_channels_ == 0) reader.fail("has a layer without channels");

    if (!transposed_) {
        PhaseAxis axis{-padding_, stride_, {}};
        for (int64_t tap = 0; tap < kernel_; ++tap) axis.taps.push_back(static_cast<uint32_t>(tap));
        axes_.push_back(std::move(axis));
        return;
    }
    // Output y collects weight[k] * input i from every stride * i + k = y + padding, so k steps through a remainder of
    // the stride while i falls.
    for (int64_t phase = 0; phase < stride_; ++phase) {
        const int64_t remainder = (phase + padding_) % stride_;
        PhaseAxis axis{0, 1, {}};
        for (int64_t tap = remainder; tap < kernel_; tap += stride_) axis.taps.push_back(static_cast<uint32_t>(tap));
        std::reverse(axis.taps.begin(), axis.taps.end());
        axis.start = (phase + padding_) / stride_ - (static_cast<int64_t>(axis.taps.size()) - 1);
        axes_.push_back(std::move(axis));
    }
}

void IntegerLayer::read_weights(ByteReader &reader, Interval input) {
    bias_ = reader.i32s(output_channels_);
    bias_.resize(blocks() * kBlockChannels);

    const uint64_t side = static_cast<uint64_t>(kernel_);
    const uint64_t per_output = side * side * input_channels_;
    const uint64_t size = per_output * output_channels_ * weight_bytes_;
    if (size > reader.remaining()) reader.fail("ends too early");
    const RawWeights raw(reader.bytes(static_cast<size_t>(size)), weight_bytes_);
    for (size_t output = 0; output < output_channels_; ++output) {
        if (!accumulator_fits(bias_[output], raw, output * per_output, per_output, input)) {
            reader.fail("has a layer whose accumulators may not fit 32 bits");
        }
    }

    for (const PhaseAxis &rows : axes_) {
        for (const PhaseAxis &columns : axes_) {
            const size_t taps = rows.taps.size() * columns.taps.size();
            std::vector<int16_t> packed(blocks() * taps * channel_pairs() * 2 * kBlockChannels);
            for (size_t output = 0; output < output_channels_; ++output) {
                int16_t *block = packed.data() + output / kBlockChannels * (packed.size() / blocks());
                int16_t *lane = block + output % kBlockChannels * 2;
                for (const uint32_t row : rows.taps) {
                    for (const uint32_t column : columns.taps) {
                        const size_t tap = ((output * side + row) * side + column) * input_channels_;
                        for (size_t channel = 0; channel < input_channels_; ++channel) {
                            lane[channel / 2 * 2 * kBlockChannels + channel % 2] = raw[tap + channel];
                        }
                        lane += channel_pairs() * 2 * kBlockChannels;
                    }
                }
            }
            weights_.push_back(std::move(packed));
        }
    }
}

void IntegerLayer::read_requantisation(ByteReader &reader) {
    const std::vector<int32_t> positive = reader.i32s(output_channels_);
    const std::vector<int32_t> negative = reader.i32s(output_channels_);
    const uint8_t *shifts = reader.bytes(output_channels_);
    output_.low = reader.i16();
    output_.high = reader.i16();
    if (output_.low > output_.high) reader.fail("has a layer whose bounds are the wrong way round");

    RequantiseBlock empty{};
    std::fill_n(empty.shift, kBlockChannels, uint8_t{1});
    empty.low = output_.low;
    empty.high = output_.high;
    requantisation_.assign(blocks(), empty);
    for (size_t output = 0; output < output_channels_; ++output) {
        // Up to 62 the product, of two 32-bit numbers, and the half added to it stay below 2^63.
        if (shifts[output] < 1 || shifts[output] > 62) reader.fail("has a layer with a shift outside 1 to 62");
        RequantiseBlock &block = requantisation_[output / kBlockChannels];
        block.multiplier_positive[output % kBlockChannels] = positive[output];
        block.multiplier_negative[output % kBlockChannels] = negative[output];
        block.shift[output % kBlockChannels] = shifts[output];
    }
}

void IntegerLayer::read_thresholds(ByteReader &reader) {
    thresholds_ = reader.u16();
    if (thresholds_ < 1 || thresholds_ > 255) reader.fail("has a layer with a number of thresholds outside 1 to 255");
    const std::vector<int32_t> ascending = reader.i32s(thresholds_ * output_channels_);
    const size_t per_channel = (thresholds_ + kTreeThresholds - 1) / kTreeThresholds;
    trees_.assign(blocks() * kBlockChannels * per_channel * kTreeSlots, INT32_MIN);
    for (size_t output = 0; output < output_channels_; ++output) {
        const int32_t *first = ascending.data() + output * thresholds_;
        if (!std::is_sorted(first, first + thresholds_)) reader.fail("has thresholds that do not ascend");
        // Nothing is below the smallest number, so padding with it adds nothing to a count of thresholds above.
        std::vector<int32_t> descending(per_channel * kTreeThresholds, INT32_MIN);
        std::reverse_copy(first, first + thresholds_, descending.begin());
        for (size_t i = 0; i < per_channel; ++i) {
            fill_tree(trees_.data() + (output * per_channel + i) * kTreeSlots, 1,
                      descending.data() + i * kTreeThresholds);
        }
    }
}

size_t IntegerLayer::multiplications(size_t outputs) const {
    const size_t phases = axes_.size() * axes_.size();
    return outputs * output_channels_ * input_channels_ * static_cast<size_t>(kernel_ * kernel_) / phases;
}

int64_t IntegerLayer::output_side(int64_t side) const {
    if (transposed_) return (side - 1) * stride_ - 2 * padding_ + kernel_ + output_padding_;
    const int64_t room = side + 2 * padding_ - kernel_;
    return room < 0 ? 0 : room / stride_ + 1;
}

int64_t IntegerLayer::zeros_before() const {
    int64_t zeros = 0;
    for (const PhaseAxis &axis : axes_) zeros = std::max(zeros, -axis.start);
    return zeros;
}

int64_t IntegerLayer::zeros_after(int64_t side) const {
    const int64_t phases = static_cast<int64_t>(axes_.size());
    const int64_t outputs = output_side(side);
    int64_t zeros = 0;
    for (int64_t phase = 0; phase < std::min(phases, outputs); ++phase) {
        const PhaseAxis &axis = axes_[static_cast<size_t>(phase)];
        const int64_t last = (outputs - 1 - phase) / phases;
        zeros = std::max(zeros, axis.start + last * axis.step + static_cast<int64_t>(axis.taps.size()) - side);
    }
    return zeros;
}

const int16_t *IntegerLayer::weights(size_t row_phase, size_t column_phase, size_t block) const {
    const std::vector<int16_t> &phase = weights_[row_phase * axes_.size() + column_phase];
    return phase.data() + block * (phase.size() / blocks());
}

ThresholdTrees IntegerLayer::trees(size_t block) const {
    const size_t per_channel = (thresholds_ + kTreeThresholds - 1) / kTreeThresholds;
    return {trees_.data() + block * kBlockChannels * per_channel * kTreeSlots, per_channel,
            static_cast<uint8_t>(thresholds_)};
}

}  // namespace edgecodec
