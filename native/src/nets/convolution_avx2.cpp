// AVX2. Channels lie across the lanes while accumulating and requantising, positions while searching thresholds.
#include "nets/convolution_tiles256.h"

namespace edgecodec {
namespace {

static_assert(kSparePositions >= kLanes - 1 && kTreeSlots == kLanes * kLanes);

// AVX2 can multiply bytes too, but it saturates sums of two products.
struct Words {
    static __m256i add(__m256i sums, __m256i values, __m256i weights) {
        return _mm256_add_epi32(sums, _mm256_madd_epi16(values, weights));
    }
};

// Four channels, one in every 64-bit lane. AVX2 has no arithmetic shift of 64 bits, so 2^63 is added to make the sum
// unsigned, the sum is shifted, and 2^63 >> shift, which is exact, is subtracted.
struct Rescale {
    __m256i shift, addend, subtrahend, low, high;

    Rescale(__m256i shift, int16_t low, int16_t high)
        : shift(shift), low(_mm256_set1_epi64x(low)), high(_mm256_set1_epi64x(high)) {
        const __m256i one = _mm256_set1_epi64x(1);
        const __m256i lift = _mm256_set1_epi64x(INT64_MIN);
        addend = _mm256_add_epi64(lift, _mm256_sllv_epi64(one, _mm256_sub_epi64(shift, one)));
        subtrahend = _mm256_srlv_epi64(lift, shift);
    }

    __m256i operator()(__m256i product) const {
        const __m256i shifted = _mm256_srlv_epi64(_mm256_add_epi64(product, addend), shift);
        __m256i value = _mm256_sub_epi64(shifted, subtrahend);
        value = _mm256_blendv_epi8(value, high, _mm256_cmpgt_epi64(value, high));
        return _mm256_blendv_epi8(value, low, _mm256_cmpgt_epi64(low, value));
    }
};

void transpose(__m256i rows[kLanes]) {
    __m256i pairs[kLanes], quads[kLanes];
    for (size_t i = 0; i < kLanes; i += 2) {
        pairs[i] = _mm256_unpacklo_epi32(rows[i], rows[i + 1]);
        pairs[i + 1] = _mm256_unpackhi_epi32(rows[i], rows[i + 1]);
    }
    for (size_t i = 0; i < kLanes; i += 4) {
        quads[i] = _mm256_unpacklo_epi64(pairs[i], pairs[i + 2]);
        quads[i + 1] = _mm256_unpackhi_epi64(pairs[i], pairs[i + 2]);
        quads[i + 2] = _mm256_unpacklo_epi64(pairs[i + 1], pairs[i + 3]);
        quads[i + 3] = _mm256_unpackhi_epi64(pairs[i + 1], pairs[i + 3]);
    }
    for (size_t i = 0; i < 4; ++i) {
        rows[i] = _mm256_permute2x128_si256(quads[i], quads[i + 4], 0x20);
        rows[i + 4] = _mm256_permute2x128_si256(quads[i], quads[i + 4], 0x31);
    }
}

// Takes the second register in the lanes where bit `Bit` of `node` is set.
template <int Bit>
__m256i choose(__m256i first, __m256i second, __m256i node) {
    return _mm256_castps_si256(_mm256_blendv_ps(_mm256_castsi256_ps(first), _mm256_castsi256_ps(second),
                                                _mm256_castsi256_ps(_mm256_slli_epi32(node, 31 - Bit))));
}

// Counts the thresholds of one tree above each of eight accumulators. The tree is a table in registers: the low three
// bits of a node are its lane and the others its register, so a level is looked up without a gather from memory.
__m256i count_above(const int32_t *tree, __m256i accumulators) {
    const auto look_up = [tree](size_t part, __m256i node) {
        return _mm256_permutevar8x32_epi32(load(tree + part * kLanes), node);
    };
    const auto descend = [accumulators](__m256i node, __m256i threshold) {
        return _mm256_sub_epi32(_mm256_add_epi32(node, node), _mm256_cmpgt_epi32(threshold, accumulators));
    };
    __m256i node = _mm256_set1_epi32(1);
    for (int level = 0; level < 3; ++level) node = descend(node, look_up(0, node));
    node = descend(node, look_up(1, node));
    node = descend(node, choose<3>(look_up(2, node), look_up(3, node), node));
    const __m256i first_half = choose<3>(look_up(4, node), look_up(5, node), node);
    const __m256i second_half = choose<3>(look_up(6, node), look_up(7, node), node);
    node = descend(node, choose<4>(first_half, second_half, node));
    return _mm256_sub_epi32(node, _mm256_set1_epi32(kTreeSlots));
}

}  // namespace

void requantise_avx2(const int32_t *accumulators, size_t count, const RequantiseBlock &block, int16_t *values) {
    for (size_t half = 0; half < kBlockChannels; half += kLanes) {
        const __m256i positive = load(block.multiplier_positive + half);
        const __m256i negative = load(block.multiplier_negative + half);
        const __m256i shifts =
            _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i *>(block.shift + half)));
        const Rescale even(_mm256_and_si256(shifts, _mm256_set1_epi64x(UINT32_MAX)), block.low, block.high);
        const Rescale odd(_mm256_srli_epi64(shifts, 32), block.low, block.high);
        for (size_t window = 0; window < count; ++window) {
            const __m256i sums = load(accumulators + window * kBlockChannels + half);
            // The sign bit of a sum chooses its multiplier.
            const __m256i multipliers = _mm256_castps_si256(_mm256_blendv_ps(
                _mm256_castsi256_ps(positive), _mm256_castsi256_ps(negative), _mm256_castsi256_ps(sums)));
            const __m256i evens = even(_mm256_mul_epi32(sums, multipliers));
            const __m256i odds = odd(_mm256_mul_epi32(_mm256_srli_epi64(sums, 32), _mm256_srli_epi64(multipliers, 32)));
            const __m256i scaled = _mm256_blend_epi32(evens, _mm256_slli_epi64(odds, 32), 0b10101010);
            const __m256i packed = _mm256_permute4x64_epi64(_mm256_packs_epi32(scaled, scaled), 0b1000);
            _mm_storeu_si128(reinterpret_cast<__m128i *>(values + window * kBlockChannels + half),
                             _mm256_castsi256_si128(packed));
        }
    }
}

void index_avx2(const int32_t *accumulators, size_t count, const ThresholdTrees &trees, uint8_t *indices) {
    const __m256i thresholds = _mm256_set1_epi32(trees.thresholds);
    const __m256i low_bytes = _mm256_set1_epi32(0x0C080400);
    for (size_t window = 0; window < count; window += kLanes) {
        for (size_t half = 0; half < kBlockChannels; half += kLanes) {
            __m256i sums[kLanes];
            for (size_t i = 0; i < kLanes; ++i) sums[i] = load(accumulators + (window + i) * kBlockChannels + half);
            transpose(sums);
            for (size_t i = 0; i < kLanes; ++i) {
                const size_t channel = half + i;
                const int32_t *tree = trees.trees + channel * trees.per_channel * kTreeSlots;
                __m256i result = thresholds;
                for (size_t k = 0; k < trees.per_channel; ++k, tree += kTreeSlots) {
                    result = _mm256_sub_epi32(result, count_above(tree, sums[i]));
                }
                const __m256i bytes = _mm256_shuffle_epi8(result, low_bytes);
                const __m128i eight =
                    _mm_unpacklo_epi32(_mm256_castsi256_si128(bytes), _mm256_extracti128_si256(bytes, 1));
                _mm_storel_epi64(reinterpret_cast<__m128i *>(indices + channel * (count + kSparePositions) + window),
                                 eight);
            }
        }
    }
}

const ConvolutionKernels kConvolutionKernelsAvx2 = {accumulate<Words>, nullptr, requantise_avx2, index_avx2};

}  // namespace edgecodec
