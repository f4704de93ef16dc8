// A file in memory without being copied, for weights of which an engine makes its own copy anyway.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

namespace edgecodec {

class MappedFile {
public:
    MappedFile() = default;
    // Maps `size` bytes, more than 0, of an open file, whose descriptor may be closed afterwards. Throws
    // UnreadableFile.
    MappedFile(int descriptor, size_t size);
    MappedFile(MappedFile &&other) noexcept
        : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
    MappedFile &operator=(MappedFile &&other) noexcept {
        std::swap(data_, other.data_);
        std::swap(size_, other.size_);
        return *this;
    }
    ~MappedFile();

    const uint8_t *data() const { return data_; }
    size_t size() const { return size_; }

private:
    const uint8_t *data_ = nullptr;
    size_t size_ = 0;
};

}  // namespace edgecodec
