#include "nets/convolution_layer.h"

#include <algorithm>
#include <cstring>

namespace edgecodec {
namespace {

// More than any known codec has. Every phase of a transposed convolution is packed by itself, into some hundred bytes at
// least, and there are as many as the square of the stride.
constexpr int64_t kMaxStride = 8, kMaxKernel = 15;

// Fills a tree in order with descending thresholds and returns the first one that it did not read.
const int32_t *fill_tree(int32_t *tree, size_t node, const int32_t *descending) {
    if (node >= kTreeSlots) return descending;
    descending = fill_tree(tree, 2 * node, descending);
    tree[node] = *descending++;
    return fill_tree(tree, 2 * node + 1, descending);
}

int64_t floor_divided(int64_t dividend, int64_t divisor) {
    return dividend / divisor - (dividend % divisor < 0 ? 1 : 0);
}

}  // namespace

// Weights in the order of the file: [output][kernel row][kernel column][input], one or two bytes each.
class ConvolutionLayer::RawWeights {
public:
    RawWeights(const uint8_t *data, size_t bytes) : data_(data), bytes_(bytes) {}
    int16_t operator[](size_t i) const {
        if (bytes_ == 1) return static_cast<int8_t>(data_[i]);
        return static_cast<int16_t>(static_cast<uint16_t>(data_[2 * i] | data_[2 * i + 1] << 8));
    }

    // Whether bias + sum of weight * input fits 32 bits for every input. Zero padding and phases drop taps, so every
    // product may also be 0; then bias plus any part of the sum fits as well. 2^32 products of 2^30 fit 64 bits.
    bool accumulator_fits(int32_t bias, size_t first, size_t count, Interval input) const {
        int64_t low = bias, high = bias;
        for (size_t i = first; i < first + count; ++i) {
            const int64_t one = int64_t{(*this)[i]} * input.low;
            const int64_t other = int64_t{(*this)[i]} * input.high;
            low += std::min({int64_t{0}, one, other});
            high += std::max({int64_t{0}, one, other});
        }
        return low >= INT32_MIN && high <= INT32_MAX;
    }

private:
    const uint8_t *data_;
    size_t bytes_;
};

ConvolutionLayer::ConvolutionLayer(ByteReader &reader, bool transposed, Interval input,
                                   const ConvolutionKernels &kernels)
    : kernels_(&kernels), transposed_(transposed) {
    read_geometry(reader);
    choose_layout(input);
    read_weights(reader, input);
    read_epilogue(reader);
}

void ConvolutionLayer::read_geometry(ByteReader &reader) {
    kernel_ = reader.u8();
    stride_ = reader.u8();
    padding_ = reader.u8();
    output_padding_ = reader.u8();
    weight_bytes_ = reader.u8();
    input_channels_ = reader.u16();
    output_channels_ = reader.u16();
    if (stride_ < 1 || kernel_ < stride_) reader.fail("has a layer whose stride is 0 or exceeds its kernel");
    if (stride_ > kMaxStride || kernel_ > kMaxKernel) reader.fail("has a layer whose stride or kernel is too large");
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
    // Output y sums weight[k] * input[i] over all stride * i + k = y + padding: k takes the values of one remainder
    // modulo the stride, while i falls.
    for (int64_t phase = 0; phase < stride_; ++phase) {
        const int64_t remainder = (phase + padding_) % stride_;
        PhaseAxis axis{0, 1, {}};
        for (int64_t tap = remainder; tap < kernel_; tap += stride_) axis.taps.push_back(static_cast<uint32_t>(tap));
        std::reverse(axis.taps.begin(), axis.taps.end());
        axis.start = (phase + padding_) / stride_ - (static_cast<int64_t>(axis.taps.size()) - 1);
        axes_.push_back(std::move(axis));
    }
}

void ConvolutionLayer::choose_layout(Interval input) {
    // The zero padding must be representable as well.
    const int low = std::min<int>(input.low, 0), high = std::max<int>(input.high, 0);
    bytes_ = kernels_->accumulate_bytes != nullptr && weight_bytes_ == 1 && high - low <= UINT8_MAX;
    offset_ = bytes_ ? static_cast<uint8_t>(-low) : 0;
}

void ConvolutionLayer::read_weights(ByteReader &reader, Interval input) {
    const std::vector<int32_t> bias = reader.i32s(output_channels_);
    const uint64_t per_output = static_cast<uint64_t>(kernel_ * kernel_) * input_channels_;
    const uint64_t size = per_output * output_channels_ * weight_bytes_;
    if (size > reader.remaining()) reader.fail("ends too early");
    const RawWeights raw(reader.bytes(static_cast<size_t>(size)), weight_bytes_);
    for (size_t output = 0; output < output_channels_; ++output) {
        if (!raw.accumulator_fits(bias[output], output * per_output, per_output, input)) {
            reader.fail("has a layer whose accumulators may not fit 32 bits");
        }
    }
    for (const PhaseAxis &rows : axes_) {
        for (const PhaseAxis &columns : axes_) phases_.push_back(packed(bias, raw, rows, columns));
    }
}

ConvolutionLayer::Phase ConvolutionLayer::packed(const std::vector<int32_t> &bias, const RawWeights &raw,
                                                 const PhaseAxis &rows, const PhaseAxis &columns) const {
    const size_t side = static_cast<size_t>(kernel_);
    const size_t position_step = groups() * kBlockChannels * kGroupBytes;
    const size_t block_step = rows.taps.size() * columns.taps.size() * position_step;
    Phase phase{bias, AlignedVector<uint8_t>(blocks() * block_step)};
    phase.bias.resize(blocks() * kBlockChannels);
    for (size_t output = 0; output < output_channels_; ++output) {
        uint8_t *position = phase.weights.data() + output / kBlockChannels * block_step;
        const size_t lane = output % kBlockChannels * kGroupBytes;
        int64_t sum = 0;
        for (const uint32_t row : rows.taps) {
            for (const uint32_t column : columns.taps) {
                const size_t tap = ((output * side + row) * side + column) * input_channels_;
                for (size_t channel = 0; channel < input_channels_; ++channel) {
                    const int16_t weight = raw[tap + channel];
                    sum += weight;
                    uint8_t *group = position + channel / group_values() * kBlockChannels * kGroupBytes + lane;
                    if (bytes_) {
                        group[channel % group_values()] = static_cast<uint8_t>(weight);
                    } else {
                        std::memcpy(group + channel % group_values() * sizeof weight, &weight, sizeof weight);
                    }
                }
                position += position_step;
            }
        }
        // The sum for an input of -offset everywhere, which fits as every sum does.
        phase.bias[output] = static_cast<int32_t>(bias[output] - offset_ * sum);
    }
    return phase;
}

void ConvolutionLayer::read_epilogue(ByteReader &reader) {
    switch (reader.u8()) {
        case 0: return read_requantisation(reader);
        case 1: return read_thresholds(reader);
        case 2: return read_table(reader);
        default: reader.fail("has a layer with an unknown epilogue");
    }
}

void ConvolutionLayer::read_requantisation(ByteReader &reader) {
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
        // Up to 62, the product of two 32-bit numbers plus the added half stays below 2^63.
        if (shifts[output] < 1 || shifts[output] > 62) reader.fail("has a layer with a shift outside 1 to 62");
        RequantiseBlock &block = requantisation_[output / kBlockChannels];
        block.multiplier_positive[output % kBlockChannels] = positive[output];
        block.multiplier_negative[output % kBlockChannels] = negative[output];
        block.shift[output % kBlockChannels] = shifts[output];
    }
}

void ConvolutionLayer::read_table(ByteReader &reader) {
    read_requantisation(reader);
    table_ = reader.i16s(static_cast<size_t>(output_.high - output_.low) + 1);
    const auto [low, high] = std::minmax_element(table_.begin(), table_.end());
    output_ = {*low, *high};
}

void ConvolutionLayer::read_thresholds(ByteReader &reader) {
    thresholds_ = reader.u16();
    if (thresholds_ < 1 || thresholds_ > 255) reader.fail("has a layer with a number of thresholds outside 1 to 255");
    const std::vector<int32_t> ascending = reader.i32s(thresholds_ * output_channels_);
    const size_t per_channel = (thresholds_ + kTreeThresholds - 1) / kTreeThresholds;
    trees_.assign(blocks() * kBlockChannels * per_channel * kTreeSlots, INT32_MIN);
    for (size_t output = 0; output < output_channels_; ++output) {
        const int32_t *first = ascending.data() + output * thresholds_;
        if (!std::is_sorted(first, first + thresholds_)) reader.fail("has thresholds that do not ascend");
        // Padded with the smallest number, which is above no accumulator and so is never counted.
        std::vector<int32_t> descending(per_channel * kTreeThresholds, INT32_MIN);
        std::reverse_copy(first, first + thresholds_, descending.begin());
        for (size_t i = 0; i < per_channel; ++i) {
            fill_tree(trees_.data() + (output * per_channel + i) * kTreeSlots, 1,
                      descending.data() + i * kTreeThresholds);
        }
    }
}

std::optional<Side> ConvolutionLayer::output_side(Side input) const {
    Side output{};
    if (transposed_) {
        output.per_unit = input.per_unit * stride_;
        output.constant = (input.constant - 1) * stride_ - 2 * padding_ + kernel_ + output_padding_;
    } else {
        const int64_t margin = 2 * padding_ - kernel_;
        if (input.smallest() + margin < 0 || input.per_unit % stride_ != 0) return std::nullopt;
        output.per_unit = input.per_unit / stride_;
        output.constant = floor_divided(input.constant + margin, stride_) + 1;
    }
    if (output.smallest() < 1) return std::nullopt;
    return output;
}

std::optional<Sides> ConvolutionLayer::output_sides(const Sides &input) const {
    const std::optional<Side> rows = output_side(input.rows), columns = output_side(input.columns);
    if (!rows || !columns) return std::nullopt;
    return Sides{*rows, *columns};
}

ActivationLayout ConvolutionLayer::input_layout(Shape input) const {
    return {
        bytes_, offset_, groups() * kGroupBytes, zeros_before(), zeros_after(input.rows), zeros_after(input.columns)};
}

size_t ConvolutionLayer::zeros_before() const {
    int64_t zeros = 0;
    for (const PhaseAxis &axis : axes_) zeros = std::max(zeros, -axis.start);
    return static_cast<size_t>(zeros);
}

size_t ConvolutionLayer::zeros_after(size_t inputs) const {
    const int64_t phases = static_cast<int64_t>(axes_.size());
    const std::optional<Side> outputs = output_side({0, static_cast<int64_t>(inputs)});
    int64_t zeros = 0;
    for (int64_t phase = 0; outputs && phase < std::min(phases, outputs->constant); ++phase) {
        const PhaseAxis &axis = axes_[static_cast<size_t>(phase)];
        const int64_t last = axis.start + (outputs->constant - 1 - phase) / phases * axis.step;
        zeros = std::max(zeros, last + static_cast<int64_t>(axis.taps.size()) - static_cast<int64_t>(inputs));
    }
    return static_cast<size_t>(zeros);
}

uint64_t ConvolutionLayer::multiplications(Shape output_shape) const {
    const uint64_t phases = axes_.size() * axes_.size();
    return output_shape.rows * output_shape.columns * output_channels_ * input_channels_ *
           static_cast<uint64_t>(kernel_ * kernel_) / phases;
}

ThresholdTrees ConvolutionLayer::trees(size_t block) const {
    const size_t per_channel = (thresholds_ + kTreeThresholds - 1) / kTreeThresholds;
    return {trees_.data() + block * kBlockChannels * per_channel * kTreeSlots, per_channel,
            static_cast<uint8_t>(thresholds_)};
}

}  // namespace edgecodec
