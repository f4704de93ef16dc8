#include "message.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { LONGEST_LINE = 4096, INTERNAL_EXIT_STATUS = 70 };

static void write_visibly(const char *line) {
    for (const unsigned char *at = (const unsigned char *)line; *at != 0; ++at) {
        if (*at == '\n') {
            fputs("\\n", stderr);
        } else if (*at < 0x20 || *at == 0x7f) {
            fprintf(stderr, "\\x%02x", *at);
        } else if (*at == 0xC2 && at[1] >= 0x80 && at[1] < 0xA0) { /* U+0080 to U+009F are controls too */
            fprintf(stderr, "\\x%02x", *++at);
        } else {
            fputc(*at, stderr);
        }
    }
    fputc('\n', stderr);
}

void say(const char *format, ...) {
    char line[LONGEST_LINE];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    write_visibly(line);
}

ec_status refuse(ec_error *error, int status, const char *where, const char *hint, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error->message, sizeof error->message, format, arguments);
    va_end(arguments);
    snprintf(error->where, sizeof error->where, "%s", where == NULL ? "" : where);
    snprintf(error->hint, sizeof error->hint, "%s", hint == NULL ? "" : hint);
    error->status = status;
    error->offset = -1;
    return (ec_status)status;
}

ec_status refuse_access(ec_error *error, int status, const char *where, int number) {
    const char *hint = number == ENOSPC   ? "free some space, or write elsewhere"
                       : number == EACCES ? "check the permissions of the file and its folder"
                       : number == ENOENT ? "check the path"
                                          : NULL;
    return refuse(error, status, where, hint, "%s", strerror(number));
}

/* Whether `where` is the file that was worked on, or lies inside it. */
static int is_within(const char *where, const char *input) {
    const size_t length = strlen(input);
    return strncmp(where, input, length) == 0 && (where[length] == 0 || where[length] == '/');
}

int report_failure(const ec_error *error, const char *input) {
    char offset[48] = "";
    if (error->offset >= 0) snprintf(offset, sizeof offset, " (at byte %lld)", (long long)error->offset);
    const int named = input == NULL || is_within(error->where, input);
    say("edgecodec: error: %s%s%s%s%s%s.%s%s%s", named ? "" : input, named ? "" : ": ", error->where,
        error->where[0] ? ": " : "", error->message, offset, error->hint[0] ? " hint: " : "", error->hint,
        error->hint[0] ? "." : "");
    return error->status == EC_INTERNAL ? INTERNAL_EXIT_STATUS : error->status / 10;
}
