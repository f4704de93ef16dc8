// The files that JavaScript has (edgecodec/page_files.js): functions that the module imports.
#pragma once

#include <cstddef>
#include <cstdint>

#define PAGE_IMPORT(name) __attribute__((import_module("edgecodec"), import_name(name)))

extern "C" {

// A descriptor, or -1 where there is no file of this name, which is UTF-8 and `size` bytes long.
PAGE_IMPORT("file_open") int page_file_open(const char *name, size_t size);
PAGE_IMPORT("file_close") void page_file_close(int file);
// Bytes; a double, because JavaScript's numbers are.
PAGE_IMPORT("file_size") double page_file_size(int file);
// The next bytes; fewer than `capacity` only at the end of the file, -1 where its contents are not there.
PAGE_IMPORT("file_read") int page_file_read(int file, uint8_t *to, size_t capacity);

}  // extern "C"
