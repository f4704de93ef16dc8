// The plain reference, and the path of processors without a fast one.
#include <algorithm>

#include "integer_convolution.h"

namespace edgecodec {
namespace {

void accumulate(const Windows &windows, const int16_t *weights, const int32_t *bias, int32_t *accumulators) {
    for (size_t window = 0; window < windows.count; ++window) {
        // A local array, because the compiler keeps it in registers: it knows that nothing else points there.
        int32_t sums[kBlockChannels];
        std::copy_n(bias, kBlockChannels, sums);
        const int16_t *weight = weights;
        for (size_t row = 0; row < windows.rows; ++row) {
            const int16_t *values = windows.first + window * windows.step + row * windows.row_step;
            for (size_t pair = 0; pair < windows.row_pairs; ++pair, values += 2, weight += 2 * kBlockChannels) {
                // One product at a time: bias plus any part of the products stays inside the proved bounds, while two
                // products alone may not.
                for (size_t channel = 0; channel < kBlockChannels; ++channel) {
                    sums[channel] += weight[2 * channel] * values[0];
                    sums[channel] += weight[2 * channel + 1] * values[1];
                }
            }
        }
        std::copy_n(sums, kBlockChannels, accumulators + window * kBlockChannels);
    }
}

void requantise(const int32_t *accumulators, size_t count, const RequantiseBlock &block, int16_t *values) {
    for (size_t window = 0; window < count; ++window) {
        for (size_t channel = 0; channel < kBlockChannels; ++channel) {
            const int64_t accumulator = *accumulators++;
            const int64_t multiplier =
                accumulator < 0 ? block.multiplier_negative[channel] : block.multiplier_positive[channel];
            const int64_t half = int64_t{1} << (block.shift[channel] - 1);
            // At most 2^62 + 2^61, so it cannot overflow.
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

const IntegerKernels kIntegerKernelsScalar = {accumulate, requantise, index};

}  // namespace edgecodec
