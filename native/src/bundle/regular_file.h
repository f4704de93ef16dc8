// Files that a stranger may have laid: opened without waiting, and only if they can be read to an end.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace edgecodec {

// Why a file cannot be read. A device may have no end, and a named pipe no writer: they are not regular files.
struct UnreadableFile {
    enum Reason { missing, not_regular, other } reason;
    std::string problem;  // in the system's words for `other`
};

class RegularFile {
public:
    // Of a regular file, or a link to one. Throws UnreadableFile.
    explicit RegularFile(const std::string &path);
    ~RegularFile();
    RegularFile(const RegularFile &) = delete;
    RegularFile &operator=(const RegularFile &) = delete;

    // Bytes, when it was opened.
    uint64_t size() const { return size_; }
    int descriptor() const { return descriptor_; }
    // The next bytes; fewer than `capacity` only at the end of the file. Throws UnreadableFile.
    size_t read(uint8_t *to, size_t capacity);

private:
    int descriptor_;
    uint64_t size_ = 0;
};

// Bytes of a regular file, or of one that a link leads to, without opening it. Throws UnreadableFile.
uint64_t regular_file_size(const std::string &path);

}  // namespace edgecodec
