#include "bundle/regular_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

namespace edgecodec {

namespace {

constexpr size_t kLargestCall = 1 << 30;  // bytes; systems refuse or shorten reads of 2 GiB and more

UnreadableFile last_error() {
    const int number = errno;
    const bool is_missing = number == ENOENT || number == ENOTDIR;
    return {is_missing ? UnreadableFile::missing : UnreadableFile::other, std::generic_category().message(number)};
}

uint64_t size_of(const struct stat &status) {
    if (!S_ISREG(status.st_mode)) throw UnreadableFile{UnreadableFile::not_regular, "is not a regular file"};
    return static_cast<uint64_t>(status.st_size);
}

// Opening a named pipe would wait for its writer; opening a terminal could make it the process's own.
int open_without_waiting(const std::string &path) {
    int descriptor;
    do {
        descriptor = open(path.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    } while (descriptor < 0 && errno == EINTR);
    if (descriptor < 0) throw last_error();
    return descriptor;
}

}  // namespace

RegularFile::RegularFile(const std::string &path) : descriptor_(open_without_waiting(path)) {
    try {
        struct stat status;
        if (fstat(descriptor_, &status) != 0) throw last_error();
        size_ = size_of(status);
    } catch (...) {
        close(descriptor_);
        throw;
    }
}

RegularFile::~RegularFile() { close(descriptor_); }

size_t RegularFile::read(uint8_t *to, size_t capacity) {
    size_t total = 0;
    while (total < capacity) {
        const ssize_t got = ::read(descriptor_, to + total, std::min(capacity - total, kLargestCall));
        if (got == 0) break;
        if (got < 0) {
            if (errno == EINTR) continue;
            throw last_error();
        }
        total += static_cast<size_t>(got);
    }
    return total;
}

uint64_t regular_file_size(const std::string &path) {
    struct stat status;
    if (stat(path.c_str(), &status) != 0) throw last_error();
    return size_of(status);
}

}  // namespace edgecodec
