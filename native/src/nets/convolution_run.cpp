// Runs a convolution of an integer net: bands of rows for the threads, and within a band block by block, so that the
// weights of a block stay in the cache for all rows of the band.
#include <algorithm>
#include <vector>

#include "nets/convolution_layer.h"
#include "support/parallel_rows.h"

namespace edgecodec {
namespace {

// Starting a thread takes about as long as this many multiplications.
constexpr size_t kThreadMultiplications = size_t{1} << 23;
// More rows would share the work less evenly, and would hardly save any more reads of weights.
constexpr size_t kBandRows = 4;
constexpr size_t kBandsPerThread = 2;

// The buffers of one worker for one call of the kernels.
struct Scratch {
    explicit Scratch(size_t positions)
        : accumulators_step((positions + kSparePositions) * kBlockChannels),
          accumulators(kCallBlocks * accumulators_step),
          values(positions * kBlockChannels),
          indices(accumulators_step) {}

    size_t accumulators_step;
    AlignedVector<int32_t> accumulators;
    std::vector<int16_t> values;
    std::vector<uint8_t> indices;
};

}  // namespace

class ConvolutionLayer::Run {
public:
    Run(const ConvolutionLayer &layer, const Activation &input, Shape shape, const LayerOutput &output)
        : layer_(layer), input_(input), shape_(shape), output_(output) {}

    void rows(size_t first, size_t beyond, Scratch &scratch) const {
        for (size_t block = 0; block < layer_.blocks(); block += kCallBlocks) {
            for (size_t y = first; y < beyond; ++y) row(block, y, scratch);
        }
    }

private:
    // Computes the outputs of kCallBlocks blocks in one row, phase by phase.
    void row(size_t block, size_t y, Scratch &scratch) const {
        const std::vector<PhaseAxis> &axes = layer_.axes_;
        const size_t phases = axes.size();
        const size_t blocks = std::min(kCallBlocks, layer_.blocks() - block);
        const PhaseAxis &rows = axes[y % phases];
        const int64_t top = rows.start + static_cast<int64_t>(y / phases) * rows.step;
        for (size_t x = 0; x < std::min(phases, shape_.columns); ++x) {
            const PhaseAxis &columns = axes[x];
            const Phase &phase = layer_.phases_[y % phases * phases + x];
            const Windows windows{input_.at(top, columns.start),
                                  (shape_.columns - x + phases - 1) / phases,
                                  static_cast<size_t>(columns.step) * input_.position_step(),
                                  rows.taps.size(),
                                  input_.row_step(),
                                  columns.taps.size() * layer_.groups()};
            const size_t block_step = phase.weights.size() / layer_.blocks();
            const WeightBlocks weights{phase.weights.data() + block * block_step, block_step,
                                       phase.bias.data() + block * kBlockChannels, blocks};
            const Accumulators accumulators{scratch.accumulators.data(), scratch.accumulators_step};
            const Accumulate accumulate =
                layer_.bytes_ ? layer_.kernels_->accumulate_bytes : layer_.kernels_->accumulate_words;
            accumulate(windows, weights, accumulators);
            for (size_t i = 0; i < blocks; ++i) {
                finish(block + i, y, x, windows.count, accumulators.first + i * accumulators.step, scratch);
            }
        }
    }

    // Turns the accumulators of a block into its outputs at columns x, x + phases, ...
    void finish(size_t block, size_t y, size_t x, size_t count, const int32_t *accumulators, Scratch &scratch) const {
        const size_t first = block * kBlockChannels;
        const size_t channels = std::min(kBlockChannels, layer_.output_channels_ - first);
        const size_t phases = layer_.axes_.size();
        if (layer_.thresholds_ > 0) {
            layer_.kernels_->index(accumulators, count, layer_.trees(block), scratch.indices.data());
            for (size_t c = 0; c < channels; ++c) {
                const uint8_t *source = scratch.indices.data() + c * (count + kSparePositions);
                uint8_t *target = output_.indices + ((first + c) * shape_.rows + y) * shape_.columns + x;
                for (size_t i = 0; i < count; ++i) target[i * phases] = source[i];
            }
            return;
        }
        int16_t *values = scratch.values.data();
        const RequantiseBlock &requantisation = layer_.requantisation_[block];
        layer_.kernels_->requantise(accumulators, count, requantisation, values);
        if (!layer_.table_.empty()) {
            for (size_t i = 0; i < count * kBlockChannels; ++i) {
                values[i] = layer_.table_[values[i] - requantisation.low];
            }
        }
        for (size_t i = 0; i < count; ++i) {
            output_.values.put(y, x + i * phases, first, values + i * kBlockChannels, channels);
        }
    }

    const ConvolutionLayer &layer_;
    const Activation &input_;
    Shape shape_;
    const LayerOutput &output_;
};

void ConvolutionLayer::run(const Activation &input, Shape output_shape, const LayerOutput &output,
                           unsigned threads) const {
    if (multiplications(output_shape) < kThreadMultiplications) threads = 1;
    const size_t band = std::clamp<size_t>(output_shape.rows / (threads * kBandsPerThread), 1, kBandRows);
    const size_t bands = (output_shape.rows + band - 1) / band;
    const size_t workers = parallel_workers(bands, threads);
    std::vector<Scratch> scratch(workers, Scratch(output_shape.columns));
    const Run run(*this, input, output_shape, output);
    parallel_rows(bands, workers, [&](size_t worker, size_t i) {
        run.rows(i * band, std::min((i + 1) * band, output_shape.rows), scratch[worker]);
    });
}

}  // namespace edgecodec
