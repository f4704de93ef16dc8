// AVX-512 with its dot products (VNNI): four products of bytes or two of words a lane and instruction, without
// saturation. Channels lie across the lanes while accumulating and requantising, positions while searching thresholds.
#include <immintrin.h>

#include <cstring>
#include <utility>

#include "nets/convolution_kernels.h"

namespace edgecodec {
namespace {

constexpr size_t kLanes = 16;  // 32-bit lanes of a register
static_assert(kBlockChannels == kLanes && kSparePositions == kLanes - 1 && kTreeSlots == 4 * kLanes);

__m512i load(const void *address) { return _mm512_loadu_si512(address); }

__m512i broadcast_group(const uint8_t *group) {
    int32_t lane;
    std::memcpy(&lane, group, sizeof lane);
    return _mm512_set1_epi32(lane);
}

struct Words {
    static __m512i add(__m512i sums, __m512i values, __m512i weights) {
        return _mm512_dpwssd_epi32(sums, values, weights);
    }
};

struct Bytes {
    static __m512i add(__m512i sums, __m512i values, __m512i weights) {
        return _mm512_dpbusd_epi32(sums, values, weights);
    }
};

// The sums of twelve windows for two blocks fill 24 of 32 registers; two more hold weights and one a group of values.
// With fewer sums the multipliers would wait for their own results.
constexpr size_t kTile = 12;
static_assert(kCallBlocks == 2);

template <class Dot, size_t Blocks, size_t Count>
void accumulate_tile(const Windows &windows, const uint8_t *first, const WeightBlocks &blocks,
                     const Accumulators &accumulators) {
    __m512i sums[Blocks][Count];
    for (size_t block = 0; block < Blocks; ++block) {
        for (size_t i = 0; i < Count; ++i) sums[block][i] = load(blocks.bias + block * kLanes);
    }
    const uint8_t *weights = blocks.weights;
    const size_t step = windows.step;
    for (size_t row = 0; row < windows.rows; ++row) {
        const uint8_t *values = first + row * windows.row_step;
        for (size_t group = 0; group < windows.row_groups; ++group) {
            __m512i weight[Blocks];
            for (size_t block = 0; block < Blocks; ++block) weight[block] = load(weights + block * blocks.step);
            for (size_t i = 0; i < Count; ++i) {
                const __m512i value = broadcast_group(values + i * step);
                for (size_t block = 0; block < Blocks; ++block) {
                    sums[block][i] = Dot::add(sums[block][i], value, weight[block]);
                }
            }
            values += kGroupBytes;
            weights += kLanes * kGroupBytes;
        }
    }
    for (size_t block = 0; block < Blocks; ++block) {
        int32_t *target = accumulators.first + block * accumulators.step;
        for (size_t i = 0; i < Count; ++i) _mm512_storeu_si512(target + i * kLanes, sums[block][i]);
    }
}

using Tile = void (*)(const Windows &, const uint8_t *, const WeightBlocks &, const Accumulators &);

template <class Dot, size_t Blocks, class Below>
struct Tiles;

template <class Dot, size_t Blocks, size_t... Below>
struct Tiles<Dot, Blocks, std::index_sequence<Below...>> {
    static constexpr Tile by_count[] = {nullptr, accumulate_tile<Dot, Blocks, Below + 1>...};
};

template <class Dot>
void accumulate(const Windows &windows, const WeightBlocks &blocks, const Accumulators &accumulators) {
    using Counts = std::make_index_sequence<kTile>;
    const Tile *tiles = blocks.count == 1 ? Tiles<Dot, 1, Counts>::by_count : Tiles<Dot, kCallBlocks, Counts>::by_count;
    const uint8_t *first = windows.first;
    Accumulators target = accumulators;
    // Tiles of about equal size, because a small last one would keep few multipliers busy.
    size_t left = windows.count;
    for (size_t more = (left + kTile - 1) / kTile; more > 0; --more) {
        const size_t count = (left + more - 1) / more;
        tiles[count](windows, first, blocks, target);
        first += count * windows.step;
        target.first += count * kLanes;
        left -= count;
    }
}

// Eight channels, one in every 64-bit lane.
struct Rescale {
    __m512i shift, half, low, high;

    Rescale(__m512i shift, int16_t low, int16_t high)
        : shift(shift), low(_mm512_set1_epi64(low)), high(_mm512_set1_epi64(high)) {
        const __m512i one = _mm512_set1_epi64(1);
        half = _mm512_sllv_epi64(one, _mm512_sub_epi64(shift, one));
    }

    __m512i operator()(__m512i product) const {
        const __m512i value = _mm512_srav_epi64(_mm512_add_epi64(product, half), shift);
        return _mm512_max_epi64(low, _mm512_min_epi64(high, value));
    }
};

void requantise(const int32_t *accumulators, size_t count, const RequantiseBlock &block, int16_t *values) {
    const __m512i positive = load(block.multiplier_positive);
    const __m512i negative = load(block.multiplier_negative);
    const __m512i shifts = _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i *>(block.shift)));
    const Rescale even(_mm512_and_si512(shifts, _mm512_set1_epi64(UINT32_MAX)), block.low, block.high);
    const Rescale odd(_mm512_srli_epi64(shifts, 32), block.low, block.high);
    for (size_t window = 0; window < count; ++window) {
        const __m512i sums = load(accumulators + window * kLanes);
        const __m512i multipliers = _mm512_mask_blend_epi32(_mm512_movepi32_mask(sums), positive, negative);
        const __m512i evens = even(_mm512_mul_epi32(sums, multipliers));
        const __m512i odds = odd(_mm512_mul_epi32(_mm512_srli_epi64(sums, 32), _mm512_srli_epi64(multipliers, 32)));
        const __m512i scaled = _mm512_mask_blend_epi32(0xAAAA, evens, _mm512_slli_epi64(odds, 32));
        _mm256_storeu_si256(reinterpret_cast<__m256i *>(values + window * kLanes), _mm512_cvtepi32_epi16(scaled));
    }
}

void transpose(__m512i rows[kLanes]) {
    __m512i pairs[kLanes], quads[kLanes];
    for (size_t i = 0; i < kLanes; i += 2) {
        pairs[i] = _mm512_unpacklo_epi32(rows[i], rows[i + 1]);
        pairs[i + 1] = _mm512_unpackhi_epi32(rows[i], rows[i + 1]);
    }
    for (size_t i = 0; i < kLanes; i += 4) {
        quads[i] = _mm512_unpacklo_epi64(pairs[i], pairs[i + 2]);
        quads[i + 1] = _mm512_unpackhi_epi64(pairs[i], pairs[i + 2]);
        quads[i + 2] = _mm512_unpacklo_epi64(pairs[i + 1], pairs[i + 3]);
        quads[i + 3] = _mm512_unpackhi_epi64(pairs[i + 1], pairs[i + 3]);
    }
    for (size_t i = 0; i < 4; ++i) {
        const __m512i upper_even = _mm512_shuffle_i32x4(quads[i], quads[i + 4], 0x88);
        const __m512i upper_odd = _mm512_shuffle_i32x4(quads[i], quads[i + 4], 0xDD);
        const __m512i lower_even = _mm512_shuffle_i32x4(quads[i + 8], quads[i + 12], 0x88);
        const __m512i lower_odd = _mm512_shuffle_i32x4(quads[i + 8], quads[i + 12], 0xDD);
        rows[i] = _mm512_shuffle_i32x4(upper_even, lower_even, 0x88);
        rows[i + 4] = _mm512_shuffle_i32x4(upper_odd, lower_odd, 0x88);
        rows[i + 8] = _mm512_shuffle_i32x4(upper_even, lower_even, 0xDD);
        rows[i + 12] = _mm512_shuffle_i32x4(upper_odd, lower_odd, 0xDD);
    }
}

// Counts the thresholds of one tree above each of sixteen accumulators. The tree is a table in four registers. Nodes of
// a level differ only in their low five bits, which a permutation of two registers looks up.
__m512i count_above(const int32_t *tree, __m512i accumulators) {
    const __m512i inner[2] = {load(tree), load(tree + kLanes)};
    const __m512i last[2] = {load(tree + 2 * kLanes), load(tree + 3 * kLanes)};
    const __m512i one = _mm512_set1_epi32(1);
    const auto descend = [&](__m512i node, const __m512i *level) {
        const __m512i threshold = _mm512_permutex2var_epi32(level[0], node, level[1]);
        const __m512i left = _mm512_add_epi32(node, node);
        return _mm512_mask_add_epi32(left, _mm512_cmpgt_epi32_mask(threshold, accumulators), left, one);
    };
    __m512i node = one;
    for (int level = 0; level < 5; ++level) node = descend(node, inner);
    return _mm512_sub_epi32(descend(node, last), _mm512_set1_epi32(kTreeSlots));
}

void index(const int32_t *accumulators, size_t count, const ThresholdTrees &trees, uint8_t *indices) {
    const __m512i thresholds = _mm512_set1_epi32(trees.thresholds);
    for (size_t window = 0; window < count; window += kLanes) {
        __m512i sums[kLanes];
        for (size_t i = 0; i < kLanes; ++i) sums[i] = load(accumulators + (window + i) * kLanes);
        transpose(sums);
        for (size_t channel = 0; channel < kLanes; ++channel) {
            const int32_t *tree = trees.trees + channel * trees.per_channel * kTreeSlots;
            __m512i result = thresholds;
            for (size_t k = 0; k < trees.per_channel; ++k, tree += kTreeSlots) {
                result = _mm512_sub_epi32(result, count_above(tree, sums[channel]));
            }
            _mm_storeu_si128(reinterpret_cast<__m128i *>(indices + channel * (count + kSparePositions) + window),
                             _mm512_cvtepi32_epi8(result));
        }
    }
}

}  // namespace

const ConvolutionKernels kConvolutionKernelsAvx512 = {accumulate<Words>, accumulate<Bytes>, requantise, index};

}  // namespace edgecodec
