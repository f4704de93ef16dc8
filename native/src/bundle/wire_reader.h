// The wire format of protocol buffers, in the one way that every reader of it understands alike. Numbers in a longer form
// than they need, numbers beyond their type and groups are refused: some readers truncate, skip or merge what others do
// not, and a file could show one thing to a check and another to an engine.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace edgecodec {

// The bytes are not such a file. `offset` is where.
struct Malformed {
    std::string problem;
    size_t offset;
};

enum class WireType : uint8_t { varint = 0, eight_bytes = 1, sized = 2, four_bytes = 5 };

struct Tag {
    uint32_t number;
    WireType type;
};

class WireReader {
public:
    explicit WireReader(const uint8_t *data) : data_(data) {}

    size_t position() const { return position_; }

    // Each of these reads up to `end`, the end of the message at hand, at most.
    uint64_t varint(size_t end) {
        const size_t start = position_;
        uint64_t value = 0;
        for (int shift = 0; shift < 70; shift += 7) {
            if (position_ == end) throw Malformed{"a number has no end", start};
            const uint8_t byte = data_[position_++];
            if (shift == 63 && byte > 1) break;
            value |= static_cast<uint64_t>(byte & 127) << shift;
            if (byte < 128) {
                if (byte == 0 && shift > 0) throw Malformed{"a number is not in its shortest form", start};
                return value;
            }
        }
        throw Malformed{"a number is larger than 64 bits", start};
    }

    Tag tag(size_t end) {
        const size_t start = position_;
        const uint64_t tag = varint(end);
        if (tag > UINT32_MAX) throw Malformed{"a field number is larger than 29 bits", start};
        if (tag < 8) throw Malformed{"a field has the number 0", start};
        const uint32_t type = tag & 7;
        if (type != 0 && type != 1 && type != 2 && type != 5) {
            throw Malformed{"a field is of wire type " + std::to_string(type), start};
        }
        return {static_cast<uint32_t>(tag >> 3), static_cast<WireType>(type)};
    }

    // The size of what follows, which is all there.
    size_t size(size_t end) {
        const size_t start = position_;
        const uint64_t size = varint(end);
        if (size > end - position_) throw Malformed{"a field ends beyond its message", start};
        return static_cast<size_t>(size);
    }

    void skip(size_t size, size_t end) {
        if (size > end - position_) throw Malformed{"a field ends beyond its message", position_};
        position_ += size;
    }

private:
    const uint8_t *data_;
    size_t position_ = 0;
};

}  // namespace edgecodec
