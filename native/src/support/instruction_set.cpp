#include "support/instruction_set.h"

#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#endif

#include <atomic>
#include <cstdlib>
#include <cstring>

namespace edgecodec {
namespace {

#if defined(__x86_64__)
bool has_avx2() {
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("popcnt");
}

#if defined(EDGECODEC_AVXVNNI)
// Asks the processor itself, because not every compiler knows the name.
bool has_avxvnni() {
    unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
    return __get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) != 0 && (eax & 1u << 4) != 0 && has_avx2();
}
#endif

bool has_avx512() {
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vbmi") && __builtin_cpu_supports("avx512vbmi2") &&
           __builtin_cpu_supports("avx512vnni") && has_avx2();
}
#endif

struct Candidate {
    InstructionSet set;
    const char *name;
    bool (*runs_here)();
};

// Slowest first.
constexpr Candidate kCandidates[] = {
    {InstructionSet::scalar, "scalar", [] { return true; }},
#if defined(__x86_64__)
    {InstructionSet::avx2, "avx2", has_avx2},
#if defined(EDGECODEC_AVXVNNI)
    {InstructionSet::avxvnni, "avxvnni", has_avxvnni},
#endif
    {InstructionSet::avx512, "avx512", has_avx512},
#elif defined(__aarch64__)
    {InstructionSet::neon, "neon", [] { return true; }},
#endif
};

const Candidate *find(const char *name) {
    for (const Candidate &candidate : kCandidates) {
        if (std::strcmp(candidate.name, name) == 0) return candidate.runs_here() ? &candidate : nullptr;
    }
    return nullptr;
}

const Candidate *choose() {
    if (const char *name = std::getenv("EDGECODEC_KERNELS")) {
        if (const Candidate *named = find(name)) return named;
    }
    const Candidate *fastest = nullptr;
    for (const Candidate &candidate : kCandidates) {
        if (candidate.runs_here()) fastest = &candidate;
    }
    return fastest;
}

std::atomic<const Candidate *> &choice() {
    static std::atomic<const Candidate *> chosen{choose()};
    return chosen;
}

// Long enough for all names. An array, so that nothing is allocated and asking cannot fail.
struct Names {
    char list[64] = "";

    Names() {
        for (const Candidate &candidate : kCandidates) {
            if (!candidate.runs_here()) continue;
            if (list[0] != 0) std::strcat(list, ",");
            std::strcat(list, candidate.name);
        }
    }
};

}  // namespace

InstructionSet instruction_set() { return choice().load(std::memory_order_relaxed)->set; }

const char *instruction_set_name() { return choice().load(std::memory_order_relaxed)->name; }

const char *available_instruction_sets() {
    static const Names names;
    return names.list;
}

bool use_instruction_set(const char *name) {
    const Candidate *named = find(name);
    if (named == nullptr) return false;
    choice().store(named, std::memory_order_relaxed);
    return true;
}

bool has_sha256_instructions() {
#if defined(__x86_64__)
    unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;  // not every compiler knows the name
    return __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) != 0 && (ebx & 1u << 29) != 0 &&
           __builtin_cpu_supports("sse4.1");
#elif defined(__aarch64__) && defined(__linux__)
    return (getauxval(AT_HWCAP) & 1u << 6) != 0;  // HWCAP_SHA2
#elif defined(__aarch64__) && defined(__APPLE__)
    return true;
#else
    return false;
#endif
}

}  // namespace edgecodec
