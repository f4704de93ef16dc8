#include "nets/integer_net.h"

#include <algorithm>
#include <optional>

#include "nets/convolution_layer.h"
#include "nets/rearrangement.h"

namespace edgecodec {
namespace {

constexpr int64_t kMaxSide = int64_t{1} << 24;
constexpr uint64_t kMaxValues = uint64_t{1} << 31;
constexpr unsigned kMaxThreads = 256;  // each has scratch memory of its own

void check_size(uint64_t rows, uint64_t columns, uint64_t channels) {
    if (rows > uint64_t{kMaxSide} || columns > uint64_t{kMaxSide} || rows * columns > kMaxValues / channels) {
        throw Failure(EC_LIMIT, "the entropy model needs more memory than it may use for a picture of this size");
    }
}

std::unique_ptr<const IntegerLayer> parse_layer(ByteReader &reader, Interval input) {
    switch (const uint8_t kind = reader.u8(); kind) {
        case 0:
        case 1: return std::make_unique<ConvolutionLayer>(reader, kind == 1, input, convolution_kernels());
        case 2: return std::make_unique<PixelShuffle>(reader, input);
        case 3: return std::make_unique<Crop>(reader, input);
        default: reader.fail("has a layer of an unknown kind");
    }
}

Shape layer_output_shape(const IntegerLayer &layer, Shape input) {
    const std::optional<Sides> sides =
        layer.output_sides({{0, static_cast<int64_t>(input.rows)}, {0, static_cast<int64_t>(input.columns)}});
    if (!sides) {
        throw Failure(EC_BAD_MODEL, "the entropy model has a net that gives nothing for a picture of this size");
    }
    const ActivationLayout layout = layer.input_layout(input);
    check_size(layout.zeros_before + input.rows + layout.rows_after,
               layout.zeros_before + input.columns + layout.columns_after, layer.input_channels());
    const Shape output{static_cast<size_t>(sides->rows.constant), static_cast<size_t>(sides->columns.constant)};
    check_size(output.rows, output.columns, layer.output_channels());
    return output;
}

}  // namespace

IntegerNet IntegerNet::parse(ByteReader &reader) {
    IntegerNet net;
    net.input_.low = reader.i16();
    net.input_.high = reader.i16();
    if (net.input_.low > net.input_.high) reader.fail("has a net whose bounds are the wrong way round");
    const size_t count = reader.u16();
    if (count == 0) reader.fail("has a net without layers");
    Interval bounds = net.input_;
    for (size_t i = 0; i < count; ++i) {
        auto layer = parse_layer(reader, bounds);
        if (i > 0 && layer->input_channels() != net.layers_.back()->output_channels()) {
            reader.fail("has a layer that takes other channels than the one before it gives");
        }
        if (layer->thresholds() > 0 && i + 1 < count) reader.fail("has thresholds in a layer that is not the last");
        bounds = layer->output();
        net.layers_.push_back(std::move(layer));
    }
    return net;
}

bool IntegerNet::pointwise() const {
    return std::all_of(layers_.begin(), layers_.end(), [](const auto &layer) { return layer->pointwise(); });
}

Shape IntegerNet::output_shape(Shape shape) const {
    if (shape.rows == 0 || shape.columns == 0) throw Failure(EC_INVALID_ARGUMENT, "a net needs an input");
    check_size(shape.rows, shape.columns, static_cast<uint64_t>(input_channels()));
    for (const auto &layer : layers_) shape = layer_output_shape(*layer, shape);
    return shape;
}

std::optional<Sides> IntegerNet::output_sides(Sides sides) const {
    for (const auto &layer : layers_) {
        const std::optional<Sides> output = layer->output_sides(sides);
        if (!output) return std::nullopt;
        sides = *output;
        // With these limits neither part of a side can exceed 64 bits in the next layer.
        for (const Side side : {sides.rows, sides.columns}) {
            if (side.per_unit > kMaxSide || side.smallest() > kMaxSide) return std::nullopt;
        }
    }
    return sides;
}

Cost IntegerNet::cost(Shape shape) const {
    const auto bytes_of = [](const ActivationLayout &layout, Shape input) {
        return static_cast<uint64_t>(layout.zeros_before + input.rows + layout.rows_after) *
               (layout.zeros_before + input.columns + layout.columns_after) * layout.position_step;
    };
    Cost total;
    uint64_t held = bytes_of(layers_.front()->input_layout(shape), shape);
    for (size_t i = 0; i < layers_.size(); ++i) {
        const Shape output = layer_output_shape(*layers_[i], shape);
        const uint64_t next =
            i + 1 < layers_.size() ? bytes_of(layers_[i + 1]->input_layout(output), output) : uint64_t{0};
        total.then({held + next, layers_[i]->multiplications(output)});
        held = next;
        shape = output;
    }
    return total;
}

void IntegerNet::run(const int16_t *input, Shape shape, uint8_t *indices, int16_t *values, unsigned threads) const {
    output_shape(shape);
    threads = std::min(threads, kMaxThreads);
    Activation activation(layers_.front()->input_layout(shape), shape);
    const size_t channels = layers_.front()->input_channels();
    const ActivationTarget inside = activation.inside();
    for (size_t y = 0; y < shape.rows; ++y) {
        for (size_t x = 0; x < shape.columns; ++x, input += channels) inside.put(y, x, 0, input, channels);
    }

    for (size_t i = 0; i < layers_.size(); ++i) {
        const IntegerLayer &layer = *layers_[i];
        const Shape output = layer_output_shape(layer, shape);
        if (i + 1 < layers_.size()) {
            Activation next(layers_[i + 1]->input_layout(output), output);
            layer.run(activation, output, {next.inside(), nullptr}, threads);
            activation = std::move(next);
        } else {
            const size_t position_step = layer.output_channels() * sizeof *values;
            const ActivationTarget target{reinterpret_cast<uint8_t *>(values), output.columns * position_step,
                                          position_step, false, 0};
            layer.run(activation, output, {target, indices}, threads);
        }
        shape = output;
    }
}

}  // namespace edgecodec
