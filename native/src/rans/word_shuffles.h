// Byte shuffles that give the next words of a payload to the lanes that need one, eight lanes at a time.
#pragma once

#include <cstdint>

namespace edgecodec {

// For each mask of eight lanes, the byte shuffle that gives the next words to the lanes in the mask, in order. The
// other lanes have 0x80, for which AVX2 gives zero and NEON, whose table ends before it, keeps the lane.
struct WordShuffles {
    alignas(16) uint8_t of_mask[256][16];

    constexpr WordShuffles() : of_mask() {
        for (int mask = 0; mask < 256; ++mask) {
            int word = 0;
            for (int lane = 0; lane < 8; ++lane) {
                const bool due = (mask >> lane & 1) != 0;
                of_mask[mask][2 * lane] = static_cast<uint8_t>(due ? 2 * word : 0x80);
                of_mask[mask][2 * lane + 1] = static_cast<uint8_t>(due ? 2 * word + 1 : 0x80);
                word += due;
            }
        }
    }
};
inline constexpr WordShuffles kWordShuffles;

}  // namespace edgecodec
