/* What every program does with a failure: say where, what, and what to do about it. */
#ifndef EXAMPLES_FAILURE_H
#define EXAMPLES_FAILURE_H

#include <stdio.h>

#include "edgecodec/edgecodec.h"

/* data: the program's name for what it gave, which the library does not know. */
static inline void complain(const ec_error *error, const char *data) {
    fprintf(stderr, "%s: %s", error->where[0] ? error->where : data, error->message);
    fprintf(stderr, "%s%s\n", error->hint[0] ? ". Hint: " : "", error->hint);
}

#endif
