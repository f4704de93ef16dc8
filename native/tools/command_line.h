/* The options of edgecodec-decode: the same names as those of the Python command. */
#ifndef EDGECODEC_TOOLS_COMMAND_LINE_H
#define EDGECODEC_TOOLS_COMMAND_LINE_H

#include <stdbool.h>

#include "edgecodec/edgecodec.h"

enum { MOST_KNOBS = 32 };

/* Texts are those of argv. codec.knobs points to `knobs`, so the struct must stay where it is. */
typedef struct command_line {
    const char *input, *output, *bundle;
    bool force, quiet, verbose, help, version;
    ec_knob_value knobs[MOST_KNOBS];
    ec_codec_options codec;
} command_line;

/* EC_INVALID_ARGUMENT for anything that cannot be meant. Names of knobs are cut out of argv in place. */
ec_status read_command_line(int count, char **arguments, command_line *out, ec_error *error);

void show_help(void);

#endif
