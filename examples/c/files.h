/* Whole files in and out of memory: what every example needs and none is about. */
#ifndef EXAMPLES_FILES_H
#define EXAMPLES_FILES_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* All bytes of a file, to be freed; NULL after saying why. */
static inline uint8_t *read_file(const char *path, size_t *size) {
    FILE *file = fopen(path, "rb");
    uint8_t *data = NULL;
    long end = -1;
    if (file != NULL && fseek(file, 0, SEEK_END) == 0) end = ftell(file);
    if (end >= 0) data = (uint8_t *)malloc(end > 0 ? (size_t)end : 1);
    if (data != NULL) {
        rewind(file);
        *size = fread(data, 1, (size_t)end, file);
    } else {
        perror(path);
    }
    if (file != NULL) fclose(file);
    return data;
}

/* Writes rows that are row_stride bytes apart as PPM (3 channels) or PGM (1). 0, or -1 after saying why. */
static inline int write_picture(const char *path, const uint8_t *pixels, uint32_t width, uint32_t height,
                                uint32_t channels, size_t row_stride) {
    FILE *file = fopen(path, "wb");
    if (file == NULL) {
        perror(path);
        return -1;
    }
    fprintf(file, "P%c\n%u %u\n255\n", channels == 1 ? '5' : '6', (unsigned)width, (unsigned)height);
    for (uint32_t row = 0; row < height; ++row) fwrite(pixels + row * row_stride, channels, width, file);
    const int failed = ferror(file);
    if (fclose(file) != 0 || failed) {
        perror(path);
        return -1;
    }
    return 0;
}

/* Writes bytes. 0, or -1 after saying why. */
static inline int write_file(const char *path, const uint8_t *data, size_t size) {
    FILE *file = fopen(path, "wb");
    const size_t written = file == NULL ? 0 : fwrite(data, 1, size, file);
    if (file == NULL || fclose(file) != 0 || written != size) {
        perror(path);
        return -1;
    }
    return 0;
}

#endif
