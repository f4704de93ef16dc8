// Bounds-checked little-endian reading. Every length is compared with what remains before anything is allocated for it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

#include "support/status.h"

namespace edgecodec {

class ByteReader {
public:
    // `status` is thrown when the data end early or break the format: EC_CORRUPT for pictures, EC_BAD_MODEL for models,
    // EC_NOT_A_BUNDLE for indexes.
    ByteReader(const uint8_t *data, size_t size, ec_status status) : data_(data), size_(size), status_(status) {}

    size_t position() const { return position_; }
    size_t remaining() const { return size_ - position_; }

    const uint8_t *bytes(size_t count) {
        if (count > remaining()) fail("ends too early");
        const uint8_t *start = data_ + position_;
        position_ += count;
        return start;
    }
    uint8_t u8() { return *bytes(1); }
    int8_t i8() { return static_cast<int8_t>(u8()); }
    uint16_t u16() { return static_cast<uint16_t>(little_endian(2)); }
    int16_t i16() { return static_cast<int16_t>(u16()); }
    uint32_t u32() { return static_cast<uint32_t>(little_endian(4)); }
    int32_t i32() { return static_cast<int32_t>(u32()); }
    uint64_t u64() { return little_endian(8); }
    // IEEE 754; any bits, also those that are no number.
    double f64() {
        const uint64_t bits = u64();
        double value = 0;
        std::memcpy(&value, &bits, sizeof value);
        return value;
    }
    // A u16 length in bytes, and as many bytes, of which nothing is checked. They lie in the data.
    std::string_view text() {
        const size_t length = u16();
        return {reinterpret_cast<const char *>(bytes(length)), length};
    }

    // Unsigned LEB128 in its shortest form, at most 2^32 - 1.
    uint32_t varint() {
        uint64_t value = 0;
        for (int shift = 0; shift < 35; shift += 7) {
            const uint8_t byte = u8();
            value |= static_cast<uint64_t>(byte & 127) << shift;
            if (byte < 128) {
                if (byte == 0 && shift > 0) fail("holds a number that is not in its shortest form");
                if (value > UINT32_MAX) fail("holds a number that is too large");
                return static_cast<uint32_t>(value);
            }
        }
        fail("holds a number that is too long");
    }

    std::vector<int16_t> i16s(size_t count) {
        if (count > remaining() / 2) fail("ends too early");
        std::vector<int16_t> values(count);
        for (int16_t &value : values) value = i16();
        return values;
    }
    std::vector<uint16_t> u16s(size_t count) {
        if (count > remaining() / 2) fail("ends too early");
        std::vector<uint16_t> values(count);
        for (uint16_t &value : values) value = u16();
        return values;
    }
    std::vector<int32_t> i32s(size_t count) {
        if (count > remaining() / 4) fail("ends too early");
        std::vector<int32_t> values(count);
        for (int32_t &value : values) value = i32();
        return values;
    }

    [[noreturn]] void fail(const char *problem) const {
        throw Failure(status_, problem, static_cast<int64_t>(position_));
    }

private:
    uint64_t little_endian(int count) {
        const uint8_t *start = bytes(static_cast<size_t>(count));
        uint64_t value = 0;
        for (int i = count; i-- > 0;) value = value << 8 | start[i];
        return value;
    }

    const uint8_t *data_;
    size_t size_;
    ec_status status_;
    size_t position_ = 0;
};

}  // namespace edgecodec
