#include "support/kernels.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <string>

#include "support/status.h"

namespace edgecodec {
namespace {

#if defined(__x86_64__)
bool has_avx2() {
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("popcnt");
}

#if defined(EDGECODEC_AVXVNNI)
// Asked of the processor itself, because not every compiler knows the name.
bool has_avx_vnni() {
    unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
    return __get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) != 0 && (eax & 1u << 4) != 0;
}
#endif
#endif

const Kernels kKernels[] = {  // slowest first
    {"scalar", [] { return true; }, decode_indexed_scalar, decode_sparse_scalar, find_intervals_scalar, sum_logarithms_scalar, encode_rows_scalar, &kIntegerKernelsScalar},
#if defined(__x86_64__)
    {"avx2", has_avx2, decode_indexed_avx2, decode_sparse_avx2, find_intervals_scalar, sum_logarithms_scalar, encode_rows_scalar, &kIntegerKernelsAvx2},
#if defined(EDGECODEC_AVXVNNI)
    {"avxvnni", [] { return has_avx_vnni() && has_avx2(); }, decode_indexed_avx2, decode_sparse_avx2, find_intervals_scalar, sum_logarithms_scalar, encode_rows_scalar, &kIntegerKernelsAvxVnni},
#endif
    {"avx512",
     [] {
         return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
                __builtin_cpu_supports("avx512vbmi") && __builtin_cpu_supports("avx512vbmi2") &&
                __builtin_cpu_supports("avx512vnni") && has_avx2();
     },
     decode_indexed_avx512, decode_sparse_avx2, find_intervals_avx512, sum_logarithms_avx512, encode_rows_avx512, &kIntegerKernelsAvx512},
#elif defined(__aarch64__)
    {"neon", [] { return true; }, decode_indexed_neon, decode_sparse_scalar, find_intervals_scalar, sum_logarithms_scalar, encode_rows_scalar, &kIntegerKernelsNeon},
#endif
};

const Kernels *find(const char *name) {
    for (const Kernels &candidate : kKernels) {
        if (std::strcmp(candidate.name, name) == 0) return candidate.runs_here() ? &candidate : nullptr;
    }
    return nullptr;
}

const Kernels *choose() {
    if (const char *name = std::getenv("EDGECODEC_KERNELS")) {
        if (const Kernels *named = find(name)) return named;
    }
    const Kernels *fastest = nullptr;
    for (const Kernels &candidate : kKernels) {
        if (candidate.runs_here()) fastest = &candidate;
    }
    return fastest;
}

std::atomic<const Kernels *> &choice() {
    static std::atomic<const Kernels *> chosen{choose()};
    return chosen;
}

}  // namespace

const Kernels &kernels() { return *choice().load(std::memory_order_relaxed); }

}  // namespace edgecodec

using namespace edgecodec;

const char *ec_core_kernels(void) { return kernels().name; }

const char *ec_core_kernels_available(void) {
    static const std::string names = [] {
        std::string list;
        for (const Kernels &candidate : kKernels) {
            if (candidate.runs_here()) list += (list.empty() ? "" : ",") + std::string(candidate.name);
        }
        return list;
    }();
    return names.c_str();
}

ec_status ec_core_kernels_force(const char *name, ec_core_error *error) {
    return guarded(error, [&] {
        const Kernels *named = name == nullptr ? nullptr : find(name);
        if (named == nullptr) throw Failure(EC_INVALID_ARGUMENT, "no kernels of this name run on this processor");
        choice().store(named, std::memory_order_relaxed);
    });
}
