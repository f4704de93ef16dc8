/* Reading a whole file, and writing one so that it is complete or not there, also where a signal ends the tool.
 * "-" is a standard stream. */
#ifndef EDGECODEC_TOOLS_FILES_H
#define EDGECODEC_TOOLS_FILES_H

#include <stdbool.h>
#include <stddef.h>

#include "edgecodec/edgecodec.h"

bool is_standard_stream(const char *path);

/* All of a file, to be freed with free. most: bytes; a larger one is EC_LIMIT. */
ec_status read_file(const char *path, size_t most, unsigned char **data, size_t *size, ec_error *error);

/* Refuses a bundle that is not there, and an output in a folder that is not there: said before the work. */
ec_status check_places(const char *bundle, const char *output, ec_error *error);

/* Refuses an output that is the input, that is a folder, or that is there already and must not be overwritten. */
ec_status check_output(const char *output, const char *input, bool force, ec_error *error);

/* A part of what is written. */
typedef struct part {
    const void *data;
    size_t size;
} part;

/* Writes the parts one after the other. A file that is replaced leaves its permissions to the new one; devices and
 * pipes are written to as they are. */
ec_status write_file(const char *path, const part *parts, size_t count, ec_error *error);

#endif
