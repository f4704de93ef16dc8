// Bits into bytes, lowest first.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace edgecodec {

class BitWriter {
public:
    // At most 32 bits; `value` has none above them.
    void put(uint32_t value, unsigned bits) {
        pending_ |= static_cast<uint64_t>(value) << pending_bits_;
        pending_bits_ += bits;
        if (pending_bits_ >= 32) append_bytes(4);
    }

    size_t bits() const { return 8 * bytes_.size() + pending_bits_; }

    // Zero bits to a whole byte.
    const std::vector<uint8_t> &finish() {
        append_bytes((pending_bits_ + 7) / 8);
        return bytes_;
    }

private:
    void append_bytes(unsigned count) {
        for (unsigned i = 0; i < count; ++i) bytes_.push_back(static_cast<uint8_t>(pending_ >> 8 * i));
        pending_ >>= 8 * count;
        pending_bits_ -= std::min(pending_bits_, 8 * count);
    }

    std::vector<uint8_t> bytes_;
    uint64_t pending_ = 0;
    unsigned pending_bits_ = 0;
};

}  // namespace edgecodec
