// The plain reference, and the kernels for processors without SIMD ones.
#include <algorithm>
#include <cstring>

#include "nets/convolution_kernels.h"

namespace edgecodec {
namespace {

int16_t word(const uint8_t *bytes) {
    int16_t value;
    std::memcpy(&value, bytes, sizeof value);
    return value;
}

void accumulate(const Windows &windows, const WeightBlocks &blocks, const Accumulators &accumulators) {
    for (size_t block = 0; block < blocks.count; ++block) {
        for (size_t window = 0; window < windows.count; ++window) {
            // A local array, which the compiler keeps in registers because nothing else points there.
            int32_t sums[kBlockChannels];
            std::copy_n(blocks.bias + block * kBlockChannels, kBlockChannels, sums);
            const uint8_t *weights = blocks.weights + block * blocks.step;
            for (size_t row = 0; row < windows.rows; ++row) {
                const uint8_t *values = windows.first + window * windows.step + row * windows.row_step;
                for (size_t group = 0; group < windows.row_groups; ++group, values += kGroupBytes) {
                    const int32_t first = word(values), second = word(values + 2);
                    // One product at a time: bias plus any of the products stays within the proved bounds, the sum of
                    // two products without the bias may not.
                    for (size_t channel = 0; channel < kBlockChannels; ++channel, weights += kGroupBytes) {
                        sums[channel] += word(weights) * first;
                        sums[channel] += word(weights + 2) * second;
                    }
                }
            }
            std::copy_n(sums, kBlockChannels, accumulators.first + block * accumulators.step + window * kBlockChannels);
        }
    }
}

void requantise(const int32_t *accumulators, size_t count, const RequantiseBlock &block, int16_t *values) {
    for (size_t window = 0; window < count; ++window) {
        for (size_t channel = 0; channel < kBlockChannels; ++channel) {
            const int64_t accumulator = *accumulators++;
            const int64_t multiplier =
                accumulator < 0 ? block.multiplier_negative[channel] : block.multiplier_positive[channel];
            const int64_t half = int64_t{1} << (block.shift[channel] - 1);
            // At most 2^62 + 2^61, so this cannot overflow.
            const int64_t scaled = (accumulator * multiplier + half) >> block.shift[channel];
            *values++ = static_cast<int16_t>(std::clamp<int64_t>(scaled, block.low, block.high));
        }
    }
}

void index(const int32_t *accumulators, size_t count, const ThresholdTrees &trees, uint8_t *indices) {
    for (size_t channel = 0; channel < kBlockChannels; ++channel) {
        uint8_t *row = indices + channel * (count + kSparePositions);
        const int32_t *first_tree = trees.trees + channel * trees.per_channel * kTreeSlots;
        for (size_t window = 0; window < count; ++window) {
            const int32_t accumulator = accumulators[window * kBlockChannels + channel];
            size_t above = 0;
            for (size_t i = 0; i < trees.per_channel; ++i) {
                const int32_t *tree = first_tree + i * kTreeSlots;
                size_t node = 1;
                while (node < kTreeSlots) node = 2 * node + (tree[node] > accumulator);
                above += node - kTreeSlots;
            }
            row[window] = static_cast<uint8_t>(trees.thresholds - above);
        }
    }
}

}  // namespace

const ConvolutionKernels kConvolutionKernelsScalar = {accumulate, nullptr, requantise, index};

}  // namespace edgecodec
