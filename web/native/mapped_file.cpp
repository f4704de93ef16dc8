// bundle/mapped_file.h for a page, where nothing can be mapped: a copy, until the engine has made its own.
#include "bundle/mapped_file.h"

#include <cstdlib>
#include <new>

#include "bundle/regular_file.h"
#include "page_files.h"

namespace edgecodec {

MappedFile::MappedFile(int descriptor, size_t size) : size_(size) {
    uint8_t *const copy = static_cast<uint8_t *>(std::malloc(size));
    if (copy == nullptr) throw std::bad_alloc();
    data_ = copy;
    // The object is not whole yet, so its destructor would not run.
    if (page_file_read(descriptor, copy, size) != static_cast<int>(size)) {
        std::free(copy);
        throw UnreadableFile{UnreadableFile::other, "has not been fetched"};
    }
}

MappedFile::~MappedFile() { std::free(const_cast<uint8_t *>(data_)); }

}  // namespace edgecodec
