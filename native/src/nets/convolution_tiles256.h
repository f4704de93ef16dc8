// Tiles of 256-bit multiply-adds, a template over the instruction that adds a group's products to a sum. Everything
// here is private to the file that includes it, because each compiles it for another instruction set.
#pragma once

#include <immintrin.h>

#include <cstring>

#include "nets/convolution_kernels.h"

namespace edgecodec {
namespace {

constexpr size_t kLanes = 8;  // 32-bit lanes of a register
static_assert(kBlockChannels == 2 * kLanes);

__m256i load(const void *address) { return _mm256_loadu_si256(static_cast<const __m256i *>(address)); }
void store(void *address, __m256i value) { _mm256_storeu_si256(static_cast<__m256i *>(address), value); }

__m256i broadcast_group(const uint8_t *group) {
    int32_t lane;
    std::memcpy(&lane, group, sizeof lane);
    return _mm256_set1_epi32(lane);
}

// The sums of six windows for a block fill twelve of sixteen registers, which leaves two for weights, one for a group
// of values and one for products.
constexpr size_t kTile = 6;

template <class Dot, size_t Count>
void accumulate_tile(const Windows &windows, const uint8_t *first, const uint8_t *weights, const int32_t *bias,
                     int32_t *accumulators) {
    __m256i sums[Count][2];
    for (size_t i = 0; i < Count; ++i) {
        sums[i][0] = load(bias);
        sums[i][1] = load(bias + kLanes);
    }
    const size_t step = windows.step;
    for (size_t row = 0; row < windows.rows; ++row) {
        const uint8_t *values = first + row * windows.row_step;
        for (size_t group = 0; group < windows.row_groups; ++group) {
            const __m256i lower = load(weights);
            const __m256i upper = load(weights + kLanes * kGroupBytes);
            for (size_t i = 0; i < Count; ++i) {
                const __m256i value = broadcast_group(values + i * step);
                sums[i][0] = Dot::add(sums[i][0], value, lower);
                sums[i][1] = Dot::add(sums[i][1], value, upper);
            }
            values += kGroupBytes;
            weights += kBlockChannels * kGroupBytes;
        }
    }
    for (size_t i = 0; i < Count; ++i) {
        store(accumulators + i * kBlockChannels, sums[i][0]);
        store(accumulators + i * kBlockChannels + kLanes, sums[i][1]);
    }
}

template <class Dot>
void accumulate_block(const Windows &windows, const uint8_t *weights, const int32_t *bias, int32_t *accumulators) {
    const uint8_t *first = windows.first;
    size_t left = windows.count;
    for (; left >= kTile; left -= kTile) {
        accumulate_tile<Dot, kTile>(windows, first, weights, bias, accumulators);
        first += kTile * windows.step;
        accumulators += kTile * kBlockChannels;
    }
    switch (left) {
        case 5: return accumulate_tile<Dot, 5>(windows, first, weights, bias, accumulators);
        case 4: return accumulate_tile<Dot, 4>(windows, first, weights, bias, accumulators);
        case 3: return accumulate_tile<Dot, 3>(windows, first, weights, bias, accumulators);
        case 2: return accumulate_tile<Dot, 2>(windows, first, weights, bias, accumulators);
        case 1: return accumulate_tile<Dot, 1>(windows, first, weights, bias, accumulators);
        default: return;
    }
}

template <class Dot>
void accumulate(const Windows &windows, const WeightBlocks &blocks, const Accumulators &accumulators) {
    for (size_t block = 0; block < blocks.count; ++block) {
        accumulate_block<Dot>(windows, blocks.weights + block * blocks.step, blocks.bias + block * kBlockChannels,
                              accumulators.first + block * accumulators.step);
    }
}

}  // namespace
}  // namespace edgecodec
