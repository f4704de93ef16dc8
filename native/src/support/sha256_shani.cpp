// SHA-256 with the SHA extensions of x86-64.
#include <immintrin.h>

#include "support/sha256.h"

namespace edgecodec::sha256 {

void compress_shani(State &state, const uint8_t *blocks, size_t count) {
    // The instructions want the state as (a, b, e, f) and (c, d, g, h), highest first.
    __m128i *const halves = reinterpret_cast<__m128i *>(state);
    const __m128i dcba = _mm_loadu_si128(halves), hgfe = _mm_loadu_si128(halves + 1);
    const __m128i cdab = _mm_shuffle_epi32(dcba, 0xB1), efgh = _mm_shuffle_epi32(hgfe, 0x1B);
    __m128i abef = _mm_alignr_epi8(cdab, efgh, 8), cdgh = _mm_blend_epi16(efgh, cdab, 0xF0);
    const __m128i big_endian = _mm_set_epi64x(0x0C0D0E0F08090A0B, 0x0405060700010203);

    for (; count > 0; --count, blocks += 64) {
        const __m128i abef_before = abef, cdgh_before = cdgh;
        __m128i words[4];  // the last 16, four each
        for (int i = 0; i < 4; ++i) {
            const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i *>(blocks) + i);
            words[i] = _mm_shuffle_epi8(bytes, big_endian);
        }
#if defined(__clang__)
#pragma clang loop unroll(full)
#else
#pragma GCC unroll 16
#endif
        for (int i = 0; i < 16; ++i) {  // four rounds each
            const __m128i rounds = _mm_load_si128(reinterpret_cast<const __m128i *>(kRounds) + i);
            const __m128i sums = _mm_add_epi32(words[i % 4], rounds);
            cdgh = _mm_sha256rnds2_epu32(cdgh, abef, sums);
            abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(sums, 0x0E));
            if (i < 12) {  // the words of rounds 4 (i + 4) to 4 (i + 4) + 3
                const __m128i seven_before = _mm_alignr_epi8(words[(i + 3) % 4], words[(i + 2) % 4], 4);
                const __m128i partial = _mm_sha256msg1_epu32(words[i % 4], words[(i + 1) % 4]);
                words[i % 4] = _mm_sha256msg2_epu32(_mm_add_epi32(partial, seven_before), words[(i + 3) % 4]);
            }
        }
        abef = _mm_add_epi32(abef, abef_before);
        cdgh = _mm_add_epi32(cdgh, cdgh_before);
    }

    const __m128i feba = _mm_shuffle_epi32(abef, 0x1B), dchg = _mm_shuffle_epi32(cdgh, 0xB1);
    _mm_storeu_si128(halves, _mm_blend_epi16(feba, dchg, 0xF0));
    _mm_storeu_si128(halves + 1, _mm_alignr_epi8(dchg, feba, 8));
}

}  // namespace edgecodec::sha256
