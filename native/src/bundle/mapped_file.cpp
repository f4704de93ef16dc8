#include "bundle/mapped_file.h"

#include <sys/mman.h>

#include <cerrno>
#include <system_error>

#include "bundle/regular_file.h"

namespace edgecodec {

MappedFile::MappedFile(int descriptor, size_t size) : size_(size) {
    void *const mapping = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, descriptor, 0);
    if (mapping == MAP_FAILED) throw UnreadableFile{UnreadableFile::other, std::generic_category().message(errno)};
    data_ = static_cast<const uint8_t *>(mapping);
}

MappedFile::~MappedFile() {
    if (data_ != nullptr) munmap(const_cast<uint8_t *>(data_), size_);
}

}  // namespace edgecodec
