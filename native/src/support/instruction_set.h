// The instruction sets that kernels are written for, and the one in use.
//
// All kernels of one kind give the same results. A new instruction set is a new value here, its name and its test in
// instruction_set.cpp, and its kernels in the tables of rans/kernels.cpp and nets/convolution_kernels.cpp.
#pragma once

#include <cstdint>

namespace edgecodec {

enum class InstructionSet : uint8_t { scalar, avx2, avxvnni, avx512, neon };

// The fastest that this processor runs, unless EDGECODEC_KERNELS or use_instruction_set names another.
InstructionSet instruction_set();

const char *instruction_set_name();

// Comma separated, slowest first.
const char *available_instruction_sets();

// False, and nothing changes, where the processor runs none of this name.
bool use_instruction_set(const char *name);

// Apart from the sets above: small processors have these and no AVX2. Not every ARMv8 processor has them.
bool has_sha256_instructions();

}  // namespace edgecodec
