// Structs of the caller's, which may be of an older or a newer version than this library: `struct_size` says how much of
// each is there.
#pragma once

#include <algorithm>
#include <cstring>
#include <string>

#include "support/status.h"

namespace edgecodec {

template <class Struct>
void check_struct(const Struct *given, const char *name) {
    if (given == nullptr) throw Failure(EC_INVALID_ARGUMENT, std::string(name) + " is missing");
    if (given->struct_size < sizeof(size_t)) {
        throw Failure(EC_INVALID_ARGUMENT, std::string(name) + " has no struct_size").advising("start it with EC_INIT");
    }
}

// The same for a struct that is of no use without some of its fields: `needed` bytes of it, those of the first version.
template <class Struct>
void check_struct(const Struct *given, const char *name, size_t needed) {
    check_struct(given, name);
    if (given->struct_size < needed) {
        throw Failure(EC_INVALID_ARGUMENT, std::string(name) + " is too small for what it is to hold")
            .advising("start it with EC_INIT");
    }
}

// The fields that the caller has, and defaults for the others. `given` may be NULL: all defaults.
template <class Struct>
Struct from_caller(const Struct *given, const char *name) {
    Struct whole{};
    if (given == nullptr) return whole;
    check_struct(given, name);
    std::memcpy(&whole, given, std::min(given->struct_size, sizeof whole));
    return whole;
}

// Fills in the fields that the caller has; its struct_size stays.
template <class Struct>
void to_caller(const Struct &whole, Struct *given) {
    const size_t size = given->struct_size;
    std::memcpy(static_cast<void *>(given), &whole, std::min(size, sizeof whole));
    given->struct_size = size;
}

}  // namespace edgecodec
