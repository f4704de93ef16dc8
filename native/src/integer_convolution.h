// The inner loops of an integer net, one implementation an instruction set, all with identical results.
//
// The unit of work is a block: kBlockChannels output channels of some windows of one output row. Channels are padded
// with zero weights, output channels to whole blocks and input channels to whole pairs, because the multiply-add
// instruction of the fast paths takes two 16-bit products into one 32-bit sum. Callers have proved that every
// accumulator fits 32 bits. A sum of some of its products may not; arithmetic modulo 2^32 undoes that.
#pragma once

#include <cstddef>
#include <cstdint>

namespace edgecodec {

constexpr size_t kBlockChannels = 16;
// Accumulators exist for this many positions more than there are windows, so that vectors over positions need no tail.
constexpr size_t kSparePositions = 7;
// Thresholds of one search tree. A tree has 64 slots, the first unused, and fills eight registers of eight.
constexpr size_t kTreeThresholds = 63;
constexpr size_t kTreeSlots = 64;

// Where the windows of a row of outputs lie in a zero-padded activation with channels innermost.
struct Windows {
    const int16_t *first;  // the first value of the first window
    size_t count;
    size_t step;      // values from a window to the next
    size_t rows;      // rows of a window
    size_t row_step;  // values from a row of a window to the next
    size_t row_pairs;  // pairs of values in a row of a window; they are adjacent
};

struct RequantiseBlock {
    int32_t multiplier_positive[kBlockChannels];
    int32_t multiplier_negative[kBlockChannels];
    uint8_t shift[kBlockChannels];  // 1 to 62
    int16_t low, high;
};

// The thresholds of a block's channels as binary search trees, `per_channel` after one another for every channel.
// Node n > 0 of a tree has the children 2n, taken when its threshold is at most the accumulator, and 2n + 1: in order
// the thresholds descend. After six steps n - kTreeSlots is the number of the tree's thresholds above the accumulator.
struct ThresholdTrees {
    const int32_t *trees;
    size_t per_channel;
    uint8_t thresholds;
};

struct IntegerKernels {
    // accumulators[window][channel] = bias[channel] + sum over a window's pairs of values times weights, which are
    // stored as [pair of the window][channel][2].
    void (*accumulate)(const Windows &windows, const int16_t *weights, const int32_t *bias, int32_t *accumulators);
    // values[window][channel]
    void (*requantise)(const int32_t *accumulators, size_t count, const RequantiseBlock &block, int16_t *values);
    // indices[channel][window], rows of count + kSparePositions of which the last kSparePositions hold anything
    void (*index)(const int32_t *accumulators, size_t count, const ThresholdTrees &trees, uint8_t *indices);
};

extern const IntegerKernels kIntegerKernelsScalar;
#if defined(__x86_64__)
extern const IntegerKernels kIntegerKernelsAvx2;
#endif

}  // namespace edgecodec
