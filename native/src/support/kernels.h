// The choice among implementations of the same arithmetic, one row per instruction set. A new instruction set is a new
// file of kernels and a new row in kernels.cpp; a new kind of kernel is a new column.
#pragma once

#include "nets/convolution_kernels.h"
#include "rans/decoder_state.h"
#include "rans/encoder_kernels.h"

namespace edgecodec {

struct Kernels {
    const char *name;
    bool (*runs_here)();
    DecodeIndexed decode_indexed, decode_sparse;
    FindIntervals find_intervals;
    SumLogarithms sum_logarithms;
    EncodeRows encode_rows;
    const IntegerKernels *integer;
};

// The fastest kernels of this processor, unless EDGECODEC_KERNELS or ec_core_kernels_force names others.
const Kernels &kernels();

}  // namespace edgecodec
