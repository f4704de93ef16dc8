#include "support/processors.h"

#include <algorithm>
#include <thread>

#if defined(__linux__)
#include <sched.h>
#endif

namespace edgecodec {

unsigned usable_processors() {
    unsigned count = std::thread::hardware_concurrency();
#if defined(__linux__)
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0) count = static_cast<unsigned>(CPU_COUNT(&set));
#endif
    return std::clamp(count, 1u, kMaxThreads);
}

}  // namespace edgecodec
