// Bits into bytes, lowest first.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace edgecodec {

class BitWriter {
public:
    // At most 32 bits; `value` has none above them.
    void put(uint32_t value, unsigned bits) {
        pending_ |= static_cast<uint64_t>(value) << pending_bits_;
        for (pending_bits_ += bits; pending_bits_ >= 8; pending_bits_ -= 8) {
            bytes_.push_back(static_cast<uint8_t>(pending_));
            pending_ >>= 8;
        }
    }

    size_t bits() const { return 8 * bytes_.size() + pending_bits_; }

    // Zero bits to a whole byte.
    const std::vector<uint8_t> &finish() {
        if (pending_bits_ > 0) put(0, 8 - pending_bits_);
        return bytes_;
    }

private:
    std::vector<uint8_t> bytes_;
    uint64_t pending_ = 0;
    unsigned pending_bits_ = 0;
};

}  // namespace edgecodec
