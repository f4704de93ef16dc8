#include "integer_net.h"

#include <algorithm>
#include <cstring>
#include <optional>

#include "kernels.h"
#include "parallel_rows.h"

namespace edgecodec {
namespace {

using Shape = IntegerNet::Shape;

constexpr int64_t kMaxSide = int64_t{1} << 24;
constexpr int64_t kMaxValues = int64_t{1} << 31;
// Starting a thread takes about as long as this many multiplications.
constexpr size_t kThreadMultiplications = size_t{1} << 21;

void check_size(int64_t rows, int64_t columns, int64_t channels) {
    if (rows > kMaxSide || columns > kMaxSide || rows * columns > kMaxValues / channels) {
        throw Failure(EC_LIMIT, "the entropy model needs more memory than it may use for a picture of this size");
    }
}

Shape layer_output_shape(const IntegerLayer &layer, Shape input) {
    const auto rows = static_cast<int64_t>(input.rows), columns = static_cast<int64_t>(input.columns);
    const int64_t output_rows = layer.output_side(rows), output_columns = layer.output_side(columns);
    if (output_rows < 1 || output_columns < 1) {
        throw Failure(EC_BAD_MODEL, "the entropy model has a net that gives nothing for a picture of this size");
    }
    const int64_t before = layer.zeros_before();
    check_size(before + rows + layer.zeros_after(rows), before + columns + layer.zeros_after(columns),
               2 * static_cast<int64_t>(layer.channel_pairs()));
    check_size(output_rows, output_columns, static_cast<int64_t>(layer.output_channels()));
    return {static_cast<size_t>(output_rows), static_cast<size_t>(output_columns)};
}

// A tensor of any memory order: how far apart neighbouring rows, columns and channels are.
template <class Value>
struct Strided {
    Value *first = nullptr;
    size_t row = 0, column = 0, channel = 0;

    Value *at(size_t y, size_t x, size_t c) const { return first + y * row + x * column + c * channel; }
};

// The input of a layer, channels innermost, with the zeros around it that its windows meet.
class PaddedActivation {
public:
    PaddedActivation(const IntegerLayer &layer, Shape shape) {
        const size_t before = static_cast<size_t>(layer.zeros_before());
        const auto padded = [&](size_t side) {
            return before + side + static_cast<size_t>(layer.zeros_after(static_cast<int64_t>(side)));
        };
        column_ = 2 * layer.channel_pairs();
        row_ = padded(shape.columns) * column_;
        values_.resize(padded(shape.rows) * row_);
        inside_ = before * (row_ + column_);
    }

    // Negative positions are in the zeros.
    const int16_t *at(int64_t y, int64_t x) const {
        return values_.data() + static_cast<int64_t>(inside_) + y * static_cast<int64_t>(row_) +
               x * static_cast<int64_t>(column_);
    }
    Strided<int16_t> inside() { return {values_.data() + inside_, row_, column_, 1}; }
    size_t row() const { return row_; }
    size_t column() const { return column_; }

private:
    size_t row_, column_, inside_;
    std::vector<int16_t> values_;
};

// What one worker holds of one block of one phase of one output row.
struct Scratch {
    explicit Scratch(size_t positions)
        : accumulators((positions + kSparePositions) * kBlockChannels),
          values(positions * kBlockChannels),
          indices((positions + kSparePositions) * kBlockChannels) {}

    std::vector<int32_t> accumulators;
    std::vector<int16_t> values;
    std::vector<uint8_t> indices;
};

// One layer between its input and its output, of which one is set.
struct LayerRun {
    const IntegerKernels &kernels;
    const IntegerLayer &layer;
    const PaddedActivation &input;
    Shape output_shape;
    Strided<int16_t> values;
    Strided<uint8_t> indices;

    void row(size_t y, Scratch &scratch) const {
        const std::vector<PhaseAxis> &axes = layer.axes();
        const size_t phases = axes.size();
        const PhaseAxis &rows = axes[y % phases];
        const int64_t top = rows.start + static_cast<int64_t>(y / phases) * rows.step;
        for (size_t x = 0; x < std::min(phases, output_shape.columns); ++x) {
            const PhaseAxis &columns = axes[x];
            const Windows windows{input.at(top, columns.start),
                                  (output_shape.columns - x + phases - 1) / phases,
                                  static_cast<size_t>(columns.step) * input.column(),
                                  rows.taps.size(),
                                  input.row(),
                                  columns.taps.size() * layer.channel_pairs()};
            for (size_t block = 0; block < layer.blocks(); ++block) {
                kernels.accumulate(windows, layer.weights(y % phases, x, block), layer.bias(block),
                                   scratch.accumulators.data());
                finish(block, y, x, windows.count, scratch);
            }
        }
    }

private:
    // Accumulators to the outputs at columns x, x + phases, ...
    void finish(size_t block, size_t y, size_t x, size_t count, Scratch &scratch) const {
        const size_t first = block * kBlockChannels;
        const size_t channels = std::min(kBlockChannels, layer.output_channels() - first);
        const size_t phases = layer.axes().size();
        if (layer.thresholds() > 0) {
            kernels.index(scratch.accumulators.data(), count, layer.trees(block), scratch.indices.data());
            for (size_t c = 0; c < channels; ++c) {
                const uint8_t *source = scratch.indices.data() + c * (count + kSparePositions);
                uint8_t *target = indices.at(y, x, first + c);
                for (size_t i = 0; i < count; ++i) target[i * phases * indices.column] = source[i];
            }
            return;
        }
        kernels.requantise(scratch.accumulators.data(), count, layer.requantisation(block), scratch.values.data());
        for (size_t i = 0; i < count; ++i) {
            const int16_t *source = scratch.values.data() + i * kBlockChannels;
            int16_t *target = values.at(y, x + i * phases, first);
            for (size_t c = 0; c < channels; ++c) target[c * values.channel] = source[c];
        }
    }
};

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
        IntegerLayer layer(reader, bounds);
        if (i > 0 && layer.input_channels() != net.layers_.back().output_channels()) {
            reader.fail("has a layer that takes other channels than the one before it gives");
        }
        if (layer.thresholds() > 0 && i + 1 < count) reader.fail("has thresholds in a layer that is not the last");
        bounds = layer.output();
        net.layers_.push_back(std::move(layer));
    }
    return net;
}

Shape IntegerNet::output_shape(Shape shape) const {
    if (shape.rows == 0 || shape.columns == 0) throw Failure(EC_INVALID_ARGUMENT, "a net needs an input");
    check_size(static_cast<int64_t>(std::min<uint64_t>(shape.rows, INT64_MAX)),
               static_cast<int64_t>(std::min<uint64_t>(shape.columns, INT64_MAX)), input_channels());
    for (const IntegerLayer &layer : layers_) shape = layer_output_shape(layer, shape);
    return shape;
}

void IntegerNet::run(const int16_t *input, Shape shape, uint8_t *indices, int16_t *values, unsigned threads) const {
    output_shape(shape);
    PaddedActivation activation(layers_.front(), shape);
    const size_t channels = layers_.front().input_channels();
    const Strided<int16_t> inside = activation.inside();
    for (size_t y = 0; y < shape.rows; ++y) {
        for (size_t x = 0; x < shape.columns; ++x, input += channels) {
            std::memcpy(inside.at(y, x, 0), input, channels * sizeof *input);
        }
    }

    for (size_t i = 0; i < layers_.size(); ++i) {
        const IntegerLayer &layer = layers_[i];
        const Shape output = layer_output_shape(layer, shape);
        LayerRun run{*kernels().integer, layer, activation, output, {}, {}};
        const size_t plane = output.rows * output.columns;
        std::optional<PaddedActivation> next;
        if (i + 1 < layers_.size()) {
            next.emplace(layers_[i + 1], output);
            run.values = next->inside();
        } else if (gives_indices()) {
            run.indices = {indices, output.columns, 1, plane};
        } else {
            run.values = {values, output.columns, 1, plane};
        }

        const bool small = layer.multiplications(plane) < kThreadMultiplications;
        const size_t workers = parallel_workers(output.rows, small ? 1 : threads);
        std::vector<Scratch> scratch(workers, Scratch(output.columns));
        parallel_rows(output.rows, workers, [&](size_t worker, size_t y) { run.row(y, scratch[worker]); });
        if (next) activation = std::move(*next);
        shape = output;
    }
}

}  // namespace edgecodec
