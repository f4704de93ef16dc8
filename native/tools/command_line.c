#include "command_line.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "message.h"

typedef enum option_id {
    BUNDLE,
    OUTPUT,
    ALPHA,
    BETA,
    KNOB,
    PRECISION,
    ENGINE,
    ENGINE_LIBRARY,
    ENGINE_DEVICE,
    THREADS,
    TILE,
    MAX_MEMORY,
    MAX_PIXELS,
    MAX_PIXELS_PER_BYTE,
    FORCE,
    QUIET,
    VERBOSE,
    VERSION,
    HELP
} option_id;

/* value: what stands for the option's value in the help; NULL for a switch. */
typedef struct option {
    option_id id;
    char letter;
    const char *name, *value, *help;
} option;

static const option OPTIONS[] = {
    {BUNDLE, 'b', "bundle", "BUNDLE", "Folder that export wrote. [required]"},
    {OUTPUT, 'o', "output", "OUT", "File that ends in .ppm, .pgm or .pnm, or - for standard output. [required]"},
    {ALPHA, 0, "alpha", "A", "Realism, as exported. [default: bundle's]"},
    {BETA, 0, "beta", "B", "Realism, as exported. [default: bundle's]"},
    {KNOB, 0, "knob", "NAME=VALUE", "Any knob of the decoder; may be repeated."},
    {PRECISION, 0, "precision", "P", "fp32, fp16... [default: fp16 on GPUs, else fp32]"},
    {ENGINE, 0, "engine", "NAME", "onnxruntime, onnxruntime:cuda, onnxruntime:tensorrt... [default: onnxruntime]"},
    {ENGINE_LIBRARY, 0, "engine-library", "PATH", "Plugin of ONNX Runtime that has the engine."},
    {ENGINE_DEVICE, 0, "engine-device", "NAME", "Of the plugin: cpu, gpu, npu, gpu:1... [default: its first]"},
    {THREADS, 'j', "threads", "N", "Processor threads. [default: all]"},
    {TILE, 0, "tile", "auto|N|off", "Work in tiles of N pixels a side, or as memory asks. [default: auto]"},
    {MAX_MEMORY, 0, "max-memory", "SIZE", "Memory for one engine call, like 4G. [default: half of what is free]"},
    {MAX_PIXELS, 0, "max-pixels", "N", "Refuse larger pictures."},
    {MAX_PIXELS_PER_BYTE, 0, "max-pixels-per-byte", "N", "Refuse coded pictures with more pixels for their bytes."},
    {FORCE, 'f', "force", NULL, "Overwrite an existing output."},
    {QUIET, 'q', "quiet", NULL, "Only errors."},
    {VERBOSE, 'v', "verbose", NULL, "Stages and tiles too."},
    {VERSION, 0, "version", NULL, "Print the version and exit."},
    {HELP, 'h', "help", NULL, "Show this message and exit."},
};
enum { OPTION_COUNT = sizeof OPTIONS / sizeof OPTIONS[0] };

void show_help(void) {
    puts("Usage: edgecodec-decode [OPTIONS] IN.edgc\n\nA coded picture to pixels. IN may be - for standard input.\n");
    for (int i = 0; i < OPTION_COUNT; ++i) {
        const option *each = &OPTIONS[i];
        char left[64];
        snprintf(left, sizeof left, "%s%c%s--%s %s", each->letter ? "-" : " ", each->letter ? each->letter : ' ',
                 each->letter ? ", " : "  ", each->name, each->value == NULL ? "" : each->value);
        printf("  %-34s %s\n", left, each->help);
    }
}

static ec_status read_number(const char *text, const char *where, double *out, ec_error *error) {
    char *end;
    *out = strtod(text, &end);
    /* strtod takes hexadecimal numbers too, which Python's float does not. */
    if (end == text || *end != 0 || strpbrk(text, "xX(") != NULL) {
        return refuse(error, EC_INVALID_ARGUMENT, where, "like 0.5", "'%s' is not a number", text);
    }
    return EC_OK;
}

static ec_status read_count(const char *text, const char *where, uint64_t most, uint64_t *out, ec_error *error) {
    char *end;
    const bool decimal = isdigit((unsigned char)text[0]);
    *out = strtoull(text, &end, 10);
    if (!decimal || *end != 0 || *out < 1 || *out > most) {
        return refuse(error, EC_INVALID_ARGUMENT, where, NULL, "'%s' is not a whole number from 1 to %llu", text,
                      (unsigned long long)most);
    }
    return EC_OK;
}

/* "4G", "512M", "1.5 GiB" or plain bytes; K, M, G and T are powers of 1024. */
static ec_status read_memory(const char *text, uint64_t *out, ec_error *error) {
    static const char SUFFIXES[] = "KMGT";
    char *end;
    const bool decimal = isdigit((unsigned char)text[0]) && strpbrk(text, "xXeE") == NULL;
    double amount = strtod(text, &end);
    if (*end == ' ') ++end;
    const char *suffix = *end == 0 ? NULL : strchr(SUFFIXES, toupper((unsigned char)*end));
    if (suffix != NULL) {
        amount = ldexp(amount, 10 * (int)(suffix - SUFFIXES + 1));
        ++end;
    }
    if (tolower((unsigned char)end[0]) == 'i' && tolower((unsigned char)end[1]) == 'b') ++end;
    if (tolower((unsigned char)*end) == 'b') ++end;
    if (!decimal || *end != 0 || amount >= ldexp(1, 63)) {
        return refuse(error, EC_INVALID_ARGUMENT, NULL, "like 4G or 512M", "'%s' is not an amount of memory", text);
    }
    if (amount < 1) return refuse(error, EC_INVALID_ARGUMENT, NULL, "give 1 or more", "max_memory is 0 bytes");
    *out = (uint64_t)amount;
    return EC_OK;
}

static ec_status read_tile(const char *text, uint32_t *out, ec_error *error) {
    ec_error ignored = EC_INIT(ec_error);
    uint64_t side = 0;
    if (strcmp(text, "off") == 0) {
        *out = EC_TILE_OFF;
    } else if (strcmp(text, "auto") == 0) {
        *out = 0;
    } else if (read_count(text, NULL, EC_TILE_OFF - 1, &side, &ignored) == EC_OK) {
        *out = (uint32_t)side;
    } else {
        const char *quote = text[strspn(text, "0123456789")] == 0 ? "" : "'"; /* as Python shows numbers and texts */
        return refuse(error, EC_INVALID_ARGUMENT, NULL, "give auto, off, or the pixels a side", "tile is %s%s%s", quote,
                      text, quote);
    }
    return EC_OK;
}

static ec_status add_knob(command_line *line, const char *name, const char *text, const char *where, ec_error *error) {
    size_t *count = &line->codec.knob_count;
    double value;
    const ec_status status = read_number(text, where, &value, error);
    if (status != EC_OK) return status;
    for (size_t i = 0; i < *count; ++i) {
        if (strcmp(line->knobs[i].name, name) == 0) {
            return refuse(error, EC_INVALID_ARGUMENT, "--knob", "give each knob once", "%s is given twice", name);
        }
    }
    if (*count == MOST_KNOBS) {
        return refuse(error, EC_INVALID_ARGUMENT, "--knob", NULL, "more than %d knobs are given", MOST_KNOBS);
    }
    line->knobs[(*count)++] = (ec_knob_value){name, value};
    return EC_OK;
}

static ec_status add_named_knob(command_line *line, char *given, ec_error *error) {
    char *equals = strchr(given, '=');
    if (equals == NULL || equals == given) {
        return refuse(error, EC_INVALID_ARGUMENT, "--knob", "like --knob alpha=0.5", "'%s' is not NAME=VALUE", given);
    }
    *equals = 0;
    char where[64];
    snprintf(where, sizeof where, "--knob %s", given);
    return add_knob(line, given, equals + 1, where, error);
}

static ec_status take(command_line *line, option_id id, char *value, ec_error *error) {
    ec_codec_options *codec = &line->codec;
    uint64_t count = 0;
    ec_status status = EC_OK;
    switch (id) {
        case BUNDLE: line->bundle = value; break;
        case OUTPUT: line->output = value; break;
        case ALPHA: return add_knob(line, "alpha", value, "--alpha", error);
        case BETA: return add_knob(line, "beta", value, "--beta", error);
        case KNOB: return add_named_knob(line, value, error);
        case PRECISION: codec->precision = value; break;
        /* What is fastest is chosen by Python's command; here auto is the default engine. */
        case ENGINE: codec->engine = strcmp(value, "auto") == 0 ? NULL : value; break;
        case ENGINE_LIBRARY: codec->provider_library = value; break;
        case ENGINE_DEVICE: codec->provider_device = value; break;
        case THREADS:
            status = read_count(value, "--threads", 256, &count, error);
            codec->threads = (uint32_t)count;
            break;
        case TILE: return read_tile(value, &codec->tile, error);
        case MAX_MEMORY: return read_memory(value, &codec->max_memory, error);
        case MAX_PIXELS: return read_count(value, "--max-pixels", INT64_MAX, &codec->limits.max_pixels, error);
        case MAX_PIXELS_PER_BYTE:
            return read_count(value, "--max-pixels-per-byte", INT64_MAX, &codec->limits.max_pixels_per_byte, error);
        case FORCE: line->force = true; break;
        case QUIET: line->quiet = true; break;
        case VERBOSE: line->verbose = true; break;
        case VERSION: line->version = true; break;
        case HELP: line->help = true; break;
    }
    return status;
}

/* The option that `argument` names, with its value where that is attached ("--name=value", "-nvalue"). */
static const option *find(char *argument, char **value) {
    *value = NULL;
    for (int i = 0; i < OPTION_COUNT; ++i) {
        const option *each = &OPTIONS[i];
        const size_t length = strlen(each->name);
        if (strncmp(argument, "--", 2) == 0 && strncmp(argument + 2, each->name, length) == 0) {
            char *rest = argument + 2 + length;
            if (*rest == '=') *value = rest + 1;
            if (*rest == '=' || *rest == 0) return each;
        } else if (each->letter != 0 && argument[1] == each->letter) {
            if (argument[2] != 0) *value = argument + 2;
            return each;
        }
    }
    return NULL;
}

static ec_status require(const void *given, const char *what, ec_error *error) {
    return given != NULL
               ? EC_OK
               : refuse(error, EC_INVALID_ARGUMENT, NULL, "try edgecodec-decode --help", "%s is missing", what);
}

ec_status read_command_line(int count, char **arguments, command_line *out, ec_error *error) {
    *out = (command_line){.codec = EC_INIT(ec_codec_options)};
    out->codec.knobs = out->knobs;
    bool only_inputs = false;
    for (int i = 1; i < count; ++i) {
        char *argument = arguments[i], *value;
        if (only_inputs || argument[0] != '-' || argument[1] == 0) {
            if (out->input != NULL) {
                return refuse(error, EC_INVALID_ARGUMENT, NULL, NULL, "more than one picture is given: %s", argument);
            }
            out->input = argument;
            continue;
        }
        if (strcmp(argument, "--") == 0) {
            only_inputs = true;
            continue;
        }
        const option *found = find(argument, &value);
        if (found != NULL && found->value == NULL && value != NULL && argument[1] != '-') { /* -fv is -f -v */
            value[-1] = '-';
            arguments[i--] = value - 1;
            value = NULL;
        }
        if (found == NULL || (found->value == NULL && value != NULL)) {
            return refuse(error, EC_INVALID_ARGUMENT, NULL, "try edgecodec-decode --help", "there is no option %s",
                          argument);
        }
        if (found->value != NULL && value == NULL) value = arguments[++i]; /* argv ends with NULL */
        if (found->value != NULL && value == NULL) {
            return refuse(error, EC_INVALID_ARGUMENT, NULL, NULL, "option %s needs a value", argument);
        }
        const ec_status status = take(out, found->id, value, error);
        if (status != EC_OK) return status;
    }
    if (out->help || out->version) return EC_OK;
    ec_status status = require(out->input, "the coded picture", error);
    if (status == EC_OK && out->input[0] == 0) {
        status = refuse(error, EC_INVALID_ARGUMENT, NULL, NULL, "the name of an input is empty");
    }
    if (status == EC_OK) status = require(out->bundle, "option --bundle", error);
    if (status == EC_OK) status = require(out->output, "option --output", error);
    return status;
}
