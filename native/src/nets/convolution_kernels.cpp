#include "nets/convolution_kernels.h"

#include "support/instruction_set.h"

namespace edgecodec {

const ConvolutionKernels &convolution_kernels() {
    switch (instruction_set()) {
#if defined(__x86_64__)
        case InstructionSet::avx2: return kConvolutionKernelsAvx2;
#if defined(EDGECODEC_AVXVNNI)
        case InstructionSet::avxvnni: return kConvolutionKernelsAvxVnni;
#endif
        case InstructionSet::avx512: return kConvolutionKernelsAvx512;
#elif defined(__aarch64__)
        case InstructionSet::neon: return kConvolutionKernelsNeon;
#endif
        default: return kConvolutionKernelsScalar;
    }
}

}  // namespace edgecodec
