#include "rans/kernels.h"

#include "support/instruction_set.h"

namespace edgecodec {
namespace {

constexpr RansKernels kScalar = {decode_indexed_scalar, decode_sparse_scalar, find_intervals_scalar,
                                 sum_logarithms_scalar, encode_rows_scalar};
#if defined(__x86_64__)
constexpr RansKernels kAvx2 = {decode_indexed_avx2, decode_sparse_avx2, find_intervals_scalar, sum_logarithms_scalar,
                               encode_rows_scalar};
constexpr RansKernels kAvx512 = {decode_indexed_avx512, decode_sparse_avx2, find_intervals_avx512,
                                 sum_logarithms_avx512, encode_rows_avx512};
#elif defined(__aarch64__)
constexpr RansKernels kNeon = {decode_indexed_neon, decode_sparse_scalar, find_intervals_scalar, sum_logarithms_scalar,
                               encode_rows_scalar};
#endif

}  // namespace

const RansKernels &rans_kernels() {
    switch (instruction_set()) {
#if defined(__x86_64__)
        case InstructionSet::avx2:
        case InstructionSet::avxvnni: return kAvx2;
        case InstructionSet::avx512: return kAvx512;
#elif defined(__aarch64__)
        case InstructionSet::neon: return kNeon;
#endif
        default: return kScalar;
    }
}

}  // namespace edgecodec
