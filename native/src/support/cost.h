// What a part of an entropy model costs for one picture.
#pragma once

#include <algorithm>
#include <cstdint>

namespace edgecodec {

struct Cost {
    uint64_t bytes = 0;            // held at once, at most
    uint64_t multiplications = 0;  // about as many; what moves or codes a value counts as some

    // One after the other.
    void then(const Cost &next) {
        bytes = std::max(bytes, next.bytes);
        multiplications += next.multiplications;
    }
};

}  // namespace edgecodec
