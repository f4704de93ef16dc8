// The inner loops of the rANS coder for the instruction set in use.
#pragma once

#include "rans/decoder_state.h"
#include "rans/encoder_kernels.h"

namespace edgecodec {

struct RansKernels {
    DecodeIndexed decode_indexed, decode_sparse;
    FindIntervals find_intervals;
    SumLogarithms sum_logarithms;
    EncodeRows encode_rows;
};

const RansKernels &rans_kernels();

}  // namespace edgecodec
