/* What the tool says to people, on standard error, and the exit status that goes with a failure: both as the Python
 * command has them. */
#ifndef EDGECODEC_TOOLS_MESSAGE_H
#define EDGECODEC_TOOLS_MESSAGE_H

#include "edgecodec/edgecodec.h"

/* Failures that only a command has; numbers as in the Python package's errors. */
enum { OUTPUT_EXISTS = 21, CANNOT_WRITE = 71 };

#if defined(__GNUC__)
#define LIKE_PRINTF(text, first) __attribute__((__format__(__printf__, text, first)))
#else
#define LIKE_PRINTF(text, first)
#endif

/* A line. Characters that a terminal would obey are shown as \x1b. */
void say(const char *format, ...) LIKE_PRINTF(1, 2);

/* Fills in `error` and returns its status. where, hint: may be NULL. */
ec_status refuse(ec_error *error, int status, const char *where, const char *hint, const char *format, ...)
    LIKE_PRINTF(5, 6);

/* What the system's error number means for reading or writing the file `where`. */
ec_status refuse_access(ec_error *error, int status, const char *where, int number);

/* Reports a failure; returns the exit status. input: what was worked on, or NULL. */
int report_failure(const ec_error *error, const char *input);

#endif
