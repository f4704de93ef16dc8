// The inner loops of an integer net, one implementation for each instruction set, all with identical results.
//
// The unit of work is a block: kBlockChannels output channels of some windows of one output row. Channels are padded
// with zero weights, output channels to whole blocks and input channels to whole groups, because the multiply-add
// instructions of the fast paths add a group of products to one 32-bit sum. Callers have proved that every accumulator
// fits 32 bits. A partial sum may not, which arithmetic modulo 2^32 makes harmless.
#pragma once

#include <cstddef>
#include <cstdint>

namespace edgecodec {

constexpr size_t kBlockChannels = 16;
// Bytes of a group of adjacent channels: two words (16-bit values), or four bytes.
constexpr size_t kGroupBytes = 4;
// Blocks that one call accumulates, so that they share the loads of the activation.
constexpr size_t kCallBlocks = 2;
// Accumulators exist for this many positions beyond the windows, so that vectors over positions need no tail.
constexpr size_t kSparePositions = 15;
// Thresholds of one search tree. A tree has 64 slots, the first unused, and fills whole registers.
constexpr size_t kTreeThresholds = 63;
constexpr size_t kTreeSlots = 64;

// The windows of a row of outputs in a padded activation, channels innermost. Steps are in bytes.
struct Windows {
    const uint8_t *first;  // the first value of the first window
    size_t count;
    size_t step;        // from a window to the next
    size_t rows;        // rows of a window
    size_t row_step;    // from a row of a window to the next
    size_t row_groups;  // adjacent groups of values in a row of a window
};

// Adjacent blocks of output channels. The weights of a block are stored as [group of the window][channel][value of the
// group], as words for words and as signed bytes for bytes.
struct WeightBlocks {
    const uint8_t *weights;
    size_t step;  // bytes from a block to the next
    const int32_t *bias;
    size_t count;  // 1 to kCallBlocks
};

// Accumulators of some windows: [block][window][channel].
struct Accumulators {
    int32_t *first;
    size_t step;  // accumulators from a block to the next: (windows + kSparePositions) * kBlockChannels or more
};

struct RequantiseBlock {
    int32_t multiplier_positive[kBlockChannels];
    int32_t multiplier_negative[kBlockChannels];
    uint8_t shift[kBlockChannels];  // 1 to 62
    int16_t low, high;
};

// The thresholds of a block's channels as binary search trees, `per_channel` of them in a row for every channel. In
// order the thresholds descend: node n > 0 has the children 2n, taken when its threshold is at most the accumulator,
// and 2n + 1. After six steps n - kTreeSlots is the number of the tree's thresholds above the accumulator.
struct ThresholdTrees {
    const int32_t *trees;
    size_t per_channel;
    uint8_t thresholds;
};

// accumulators[block][window][channel] = bias[channel] + sum over a window's values times weights.
using Accumulate = void (*)(const Windows &windows, const WeightBlocks &blocks, const Accumulators &accumulators);

struct ConvolutionKernels {
    Accumulate accumulate_words;
    // Unsigned bytes times signed ones; null if no instruction does that exactly and faster than words.
    Accumulate accumulate_bytes;
    // values[window][channel]
    void (*requantise)(const int32_t *accumulators, size_t count, const RequantiseBlock &block, int16_t *values);
    // indices[channel][window], rows of count + kSparePositions; the last kSparePositions are unspecified
    void (*index)(const int32_t *accumulators, size_t count, const ThresholdTrees &trees, uint8_t *indices);
};

// The kernels for the instruction set in use.
const ConvolutionKernels &convolution_kernels();

extern const ConvolutionKernels kConvolutionKernelsScalar;
#if defined(__x86_64__)
extern const ConvolutionKernels kConvolutionKernelsAvx2;
extern const ConvolutionKernels kConvolutionKernelsAvxVnni;
extern const ConvolutionKernels kConvolutionKernelsAvx512;

// Shared by AVX2 and AVX-VNNI, which differ only in the multiply-add.
void requantise_avx2(const int32_t *accumulators, size_t count, const RequantiseBlock &block, int16_t *values);
void index_avx2(const int32_t *accumulators, size_t count, const ThresholdTrees &trees, uint8_t *indices);
#elif defined(__aarch64__)
extern const ConvolutionKernels kConvolutionKernelsNeon;
#endif

}  // namespace edgecodec
