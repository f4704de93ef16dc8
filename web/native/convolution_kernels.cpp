// The kernels of integer nets for WebAssembly: the multiply-adds of its 128-bit vectors, and the rest as everywhere.
#include "nets/convolution_kernels.h"

#include <wasm_simd128.h>

namespace edgecodec {
namespace {

constexpr size_t kLanes = 4;  // 32-bit lanes of a vector
constexpr size_t kBlockVectors = kBlockChannels / kLanes;
constexpr size_t kTile = 3;  // windows that share the loads of the weights; with more, sums leave the registers
static_assert(kBlockChannels == 16 && kGroupBytes == 4);

template <size_t Count>
void accumulate_tile(const Windows &windows, const uint8_t *first, const uint8_t *weights, const int32_t *bias,
                     int32_t *accumulators) {
    v128_t sums[Count][kBlockVectors];
    for (size_t i = 0; i < Count; ++i) {
        for (size_t v = 0; v < kBlockVectors; ++v) sums[i][v] = wasm_v128_load(bias + v * kLanes);
    }
    for (size_t row = 0; row < windows.rows; ++row) {
        const uint8_t *values = first + row * windows.row_step;
        for (size_t group = 0; group < windows.row_groups; ++group, values += kGroupBytes) {
            v128_t pairs[Count];
            for (size_t i = 0; i < Count; ++i) pairs[i] = wasm_v128_load32_splat(values + i * windows.step);
            for (size_t v = 0; v < kBlockVectors; ++v, weights += 4 * kLanes) {
                // The two products of each of four channels.
                const v128_t of_channels = wasm_v128_load(weights);
                for (size_t i = 0; i < Count; ++i) {
                    sums[i][v] = wasm_i32x4_add(sums[i][v], wasm_i32x4_dot_i16x8(of_channels, pairs[i]));
                }
            }
        }
    }
    for (size_t i = 0; i < Count; ++i) {
        for (size_t v = 0; v < kBlockVectors; ++v) {
            wasm_v128_store(accumulators + i * kBlockChannels + v * kLanes, sums[i][v]);
        }
    }
}

void accumulate_block(const Windows &windows, const uint8_t *weights, const int32_t *bias, int32_t *accumulators) {
    const uint8_t *first = windows.first;
    size_t left = windows.count;
    for (; left >= kTile; left -= kTile) {
        accumulate_tile<kTile>(windows, first, weights, bias, accumulators);
        first += kTile * windows.step;
        accumulators += kTile * kBlockChannels;
    }
    for (; left > 0; --left) {
        accumulate_tile<1>(windows, first, weights, bias, accumulators);
        first += windows.step;
        accumulators += kBlockChannels;
    }
}

void accumulate(const Windows &windows, const WeightBlocks &blocks, const Accumulators &accumulators) {
    for (size_t block = 0; block < blocks.count; ++block) {
        accumulate_block(windows, blocks.weights + block * blocks.step, blocks.bias + block * kBlockChannels,
                         accumulators.first + block * accumulators.step);
    }
}

}  // namespace

const ConvolutionKernels &convolution_kernels() {
    static const ConvolutionKernels kernels = {accumulate, nullptr, kConvolutionKernelsScalar.requantise,
                                               kConvolutionKernelsScalar.index};
    return kernels;
}

}  // namespace edgecodec
