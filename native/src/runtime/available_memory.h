// Amounts of memory: what is free, and how people write them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace edgecodec {

// Bytes that this process can still take without swapping: the least of what the machine, each control group around
// the process, and the limits of the process leave. Nothing where the system does not say (not Linux).
// root: where /proc and /sys are looked for, "" but in tests.
std::optional<uint64_t> available_memory(const std::string &root = "");

// "3.9 GB", "512 MB" or "10 KB"; rounded up, so that what is named as needed will do.
std::string memory_words(double bytes);

}  // namespace edgecodec
