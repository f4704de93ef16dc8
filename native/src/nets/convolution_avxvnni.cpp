// AVX-VNNI, the dot products of AVX-512 for 256-bit registers: four products of bytes or two of words a lane and
// instruction, without saturation. The rest is shared with AVX2.
#include "nets/convolution_tiles256.h"

namespace edgecodec {
namespace {

struct Words {
    static __m256i add(__m256i sums, __m256i values, __m256i weights) {
        return _mm256_dpwssd_avx_epi32(sums, values, weights);
    }
};

struct Bytes {
    static __m256i add(__m256i sums, __m256i values, __m256i weights) {
        return _mm256_dpbusd_avx_epi32(sums, values, weights);
    }
};

}  // namespace

const ConvolutionKernels kConvolutionKernelsAvxVnni = {accumulate<Words>, accumulate<Bytes>, requantise_avx2,
                                                       index_avx2};

}  // namespace edgecodec
