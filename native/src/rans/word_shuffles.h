// Handing the next words of a payload to the lanes that are due, eight lanes at a time.
#pragma once

#include <cstdint>

namespace edgecodec {

// Per mask of eight lanes, the shuffle of bytes that hands the next words to the lanes in the mask, in order. Others
// get 0x80, with which AVX2 gives zero and NEON, whose table ends before it, leaves a lane as it is.
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
