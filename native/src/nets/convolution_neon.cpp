// NEON. Channels lie across the lanes while accumulating and requantising, positions while searching thresholds.
#include <arm_neon.h>

#include <cstring>

#include "nets/convolution_kernels.h"

namespace edgecodec {
namespace {

constexpr size_t kLanes = 4;  // 32-bit lanes of a register
constexpr size_t kBlockVectors = kBlockChannels / kLanes;
static_assert(kBlockChannels == 16 && kGroupBytes == 4 && kTreeSlots == 64);

// The sums of four windows for a block fill sixteen of 32 registers. The multiply-adds can take a single value only
// from the first sixteen registers, so more sums would be moved aside for the values all the time.
constexpr size_t kTile = 4;

template <size_t Count>
void accumulate_tile(const Windows &windows, const uint8_t *first, const uint8_t *weights, const int32_t *bias,
                     int32_t *accumulators) {
    int32x4_t sums[Count][kBlockVectors];
    for (size_t i = 0; i < Count; ++i) {
        for (size_t v = 0; v < kBlockVectors; ++v) sums[i][v] = vld1q_s32(bias + v * kLanes);
    }
    const size_t step = windows.step;
    for (size_t row = 0; row < windows.rows; ++row) {
        const uint8_t *values = first + row * windows.row_step;
        for (size_t group = 0; group < windows.row_groups; ++group) {
            // A pair of words for each channel, loaded as bytes because a load of words may require alignment.
            const int16x8_t pairs[4] = {
                vreinterpretq_s16_u8(vld1q_u8(weights)), vreinterpretq_s16_u8(vld1q_u8(weights + 16)),
                vreinterpretq_s16_u8(vld1q_u8(weights + 32)), vreinterpretq_s16_u8(vld1q_u8(weights + 48))};
            const int16x8_t first_words[2] = {vuzp1q_s16(pairs[0], pairs[1]), vuzp1q_s16(pairs[2], pairs[3])};
            const int16x8_t second_words[2] = {vuzp2q_s16(pairs[0], pairs[1]), vuzp2q_s16(pairs[2], pairs[3])};
            for (size_t i = 0; i < Count; ++i) {
                int32_t words;
                std::memcpy(&words, values + i * step, sizeof words);
                const int16x4_t value = vreinterpret_s16_s32(vdup_n_s32(words));
                for (size_t half = 0; half < 2; ++half) {
                    int32x4_t &lower = sums[i][2 * half], &upper = sums[i][2 * half + 1];
                    lower = vmlal_lane_s16(lower, vget_low_s16(first_words[half]), value, 0);
                    upper = vmlal_high_lane_s16(upper, first_words[half], value, 0);
                    lower = vmlal_lane_s16(lower, vget_low_s16(second_words[half]), value, 1);
                    upper = vmlal_high_lane_s16(upper, second_words[half], value, 1);
                }
            }
            values += kGroupBytes;
            weights += kBlockChannels * kGroupBytes;
        }
    }
    for (size_t i = 0; i < Count; ++i) {
        int32_t *target = accumulators + i * kBlockChannels;
        for (size_t v = 0; v < kBlockVectors; ++v) vst1q_s32(target + v * kLanes, sums[i][v]);
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
    switch (left) {
        case 3: return accumulate_tile<3>(windows, first, weights, bias, accumulators);
        case 2: return accumulate_tile<2>(windows, first, weights, bias, accumulators);
        case 1: return accumulate_tile<1>(windows, first, weights, bias, accumulators);
        default: return;
    }
}

void accumulate(const Windows &windows, const WeightBlocks &blocks, const Accumulators &accumulators) {
    for (size_t block = 0; block < blocks.count; ++block) {
        accumulate_block(windows, blocks.weights + block * blocks.step, blocks.bias + block * kBlockChannels,
                         accumulators.first + block * accumulators.step);
    }
}

// Four channels.
struct Rescale {
    int32x4_t positive, negative;
    int64x2_t shift[2];  // negative: the instruction then shifts to the right

    Rescale(const RequantiseBlock &block, size_t channel)
        : positive(vld1q_s32(block.multiplier_positive + channel)),
          negative(vld1q_s32(block.multiplier_negative + channel)) {
        int64_t right[kLanes];
        for (size_t lane = 0; lane < kLanes; ++lane) right[lane] = -static_cast<int64_t>(block.shift[channel + lane]);
        shift[0] = vld1q_s64(right);
        shift[1] = vld1q_s64(right + 2);
    }

    // Saturated to 16 bits, which changes nothing because the bounds are within 16 bits.
    int16x4_t operator()(int32x4_t sums) const {
        const int32x4_t multipliers = vbslq_s32(vcltzq_s32(sums), negative, positive);
        const int64x2_t first = vmull_s32(vget_low_s32(sums), vget_low_s32(multipliers));
        const int64x2_t second = vmull_high_s32(sums, multipliers);
        // The rounding shift adds one half itself.
        const int32x2_t first_scaled = vqmovn_s64(vrshlq_s64(first, shift[0]));
        return vqmovn_s32(vqmovn_high_s64(first_scaled, vrshlq_s64(second, shift[1])));
    }
};

void requantise(const int32_t *accumulators, size_t count, const RequantiseBlock &block, int16_t *values) {
    const int16x8_t low = vdupq_n_s16(block.low), high = vdupq_n_s16(block.high);
    for (size_t half = 0; half < kBlockChannels; half += 2 * kLanes) {
        const Rescale lower(block, half), upper(block, half + kLanes);
        for (size_t window = 0; window < count; ++window) {
            const int32_t *sums = accumulators + window * kBlockChannels + half;
            const int16x8_t scaled = vcombine_s16(lower(vld1q_s32(sums)), upper(vld1q_s32(sums + kLanes)));
            vst1q_s16(values + window * kBlockChannels + half, vmaxq_s16(low, vminq_s16(high, scaled)));
        }
    }
}

// A tree as a table in registers, sixteen slots a part: the first part holds the first four levels, the second the
// fifth level, the others the last one.
class Tree {
public:
    explicit Tree(const int32_t *tree) {
        const uint8_t *bytes = reinterpret_cast<const uint8_t *>(tree);
        for (size_t part = 0; part < 4; ++part) parts_[part] = vld1q_u8_x4(bytes + part * kPartBytes);
    }

    // The number of thresholds above each of four accumulators, times four, in every byte of a lane.
    uint8x16_t count_above_times_4(int32x4_t accumulators) const {
        // Four times the node, in every byte of its lane; plus the byte's place it is the address of the slot's bytes.
        // The last descent drops 4 * kTreeSlots by overflow.
        uint8x16_t node = vdupq_n_u8(4);
        const auto descend = [&](uint8x16_t threshold) {
            const uint32x4_t above = vcgtq_s32(vreinterpretq_s32_u8(threshold), accumulators);
            const uint8x16_t right = vandq_u8(vreinterpretq_u8_u32(above), vdupq_n_u8(4));
            node = vaddq_u8(vaddq_u8(node, node), right);
        };
        const uint8x16_t place = vreinterpretq_u8_u32(vdupq_n_u32(0x03020100));
        for (int level = 0; level < 4; ++level) descend(vqtbl4q_u8(parts_[0], vorrq_u8(node, place)));
        descend(vqtbl4q_u8(parts_[1], vsubq_u8(vorrq_u8(node, place), vdupq_n_u8(kPartBytes))));
        // For addresses outside its part, the first lookup gives zero and the second keeps the byte.
        const uint8x16_t third = vsubq_u8(vorrq_u8(node, place), vdupq_n_u8(2 * kPartBytes));
        const uint8x16_t fourth = vsubq_u8(third, vdupq_n_u8(kPartBytes));
        descend(vqtbx4q_u8(vqtbl4q_u8(parts_[2], third), parts_[3], fourth));
        return node;
    }

private:
    static constexpr uint8_t kPartBytes = 64;
    uint8x16x4_t parts_[4];
};

int32x4_t gather(const int32_t *accumulators) {
    int32x4_t gathered = vdupq_n_s32(accumulators[0]);
    gathered = vsetq_lane_s32(accumulators[kBlockChannels], gathered, 1);
    gathered = vsetq_lane_s32(accumulators[2 * kBlockChannels], gathered, 2);
    return vsetq_lane_s32(accumulators[3 * kBlockChannels], gathered, 3);
}

void index(const int32_t *accumulators, size_t count, const ThresholdTrees &trees, uint8_t *indices) {
    constexpr size_t kWindows = 2 * kLanes;
    static_assert(kSparePositions >= kWindows - 1);
    for (size_t channel = 0; channel < kBlockChannels; ++channel) {
        uint8_t *row = indices + channel * (count + kSparePositions);
        std::memset(row, trees.thresholds, count);
        for (size_t k = 0; k < trees.per_channel; ++k) {
            const Tree tree(trees.trees + (channel * trees.per_channel + k) * kTreeSlots);
            for (size_t window = 0; window < count; window += kWindows) {
                const int32_t *sums = accumulators + window * kBlockChannels + channel;
                const uint8x16_t first = tree.count_above_times_4(gather(sums));
                const uint8x16_t second = tree.count_above_times_4(gather(sums + kLanes * kBlockChannels));
                const uint16x8_t both = vuzp1q_u16(vreinterpretq_u16_u8(first), vreinterpretq_u16_u8(second));
                const uint8x8_t above = vshr_n_u8(vmovn_u16(both), 2);
                vst1_u8(row + window, vsub_u8(vld1_u8(row + window), above));
            }
        }
    }
}

}  // namespace

const ConvolutionKernels kConvolutionKernelsNeon = {accumulate, nullptr, requantise, index};

}  // namespace edgecodec
