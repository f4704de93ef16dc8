// bundle/regular_file.h for a page: its files are those that JavaScript has, by name.
#include "bundle/regular_file.h"

#include "page_files.h"

namespace edgecodec {

namespace {

int open_file(const std::string &path) {
    const int file = page_file_open(path.data(), path.size());
    if (file < 0) throw UnreadableFile{UnreadableFile::missing, "is not among the files that were fetched"};
    return file;
}

}  // namespace

RegularFile::RegularFile(const std::string &path)
    : descriptor_(open_file(path)), size_(static_cast<uint64_t>(page_file_size(descriptor_))) {}

RegularFile::~RegularFile() { page_file_close(descriptor_); }

size_t RegularFile::read(uint8_t *to, size_t capacity) {
    const int got = page_file_read(descriptor_, to, capacity);
    if (got < 0) throw UnreadableFile{UnreadableFile::other, "has not been fetched"};
    return static_cast<size_t>(got);
}

uint64_t regular_file_size(const std::string &path) { return RegularFile(path).size(); }

}  // namespace edgecodec
