// How many threads are of use.
#pragma once

#include <cstdint>

namespace edgecodec {

constexpr uint32_t kMaxThreads = 256;  // more than help, and no more than every system starts

// As many as there are processors that this process may use, 1 to kMaxThreads.
unsigned usable_processors();

}  // namespace edgecodec
