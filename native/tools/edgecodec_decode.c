/* edgecodec-decode: a coded picture to PPM or PGM, without Python. Options, messages and exit statuses are those of
 * `edgecodec decode` (docs/commands.md). */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "command_line.h"
#include "edgecodec/edgecodec.h"
#include "files.h"
#include "interruption.h"
#include "message.h"

enum { NOBODY_READS = 141, /* as if SIGPIPE had ended the process */ MOST_FILE_BYTES = 1 << 30 };

/* The file's extension without its dot, or "". */
static const char *extension_of(const char *path) {
    const char *slash = strrchr(path, '/');
    const char *dot = strrchr(slash == NULL ? path : slash, '.');
    return dot == NULL ? "" : dot + 1;
}

static ec_status check_format(const char *output, ec_error *error) {
    const char *extension = extension_of(output);
    if (is_standard_stream(output) || strcasecmp(extension, "ppm") == 0 || strcasecmp(extension, "pgm") == 0 ||
        strcasecmp(extension, "pnm") == 0) {
        return EC_OK;
    }
    return refuse(error, EC_INVALID_ARGUMENT, output, "use ppm, pgm, pnm", "no picture format has the extension '%s'",
                  extension);
}

/* PPM has three channels; PGM and PNM those of the picture. */
static uint32_t channels_for(const char *output) {
    return is_standard_stream(output) || strcasecmp(extension_of(output), "ppm") == 0 ? 3 : 0;
}

static ec_status write_picture(const char *path, const ec_picture *picture, ec_error *error) {
    char head[48];
    const int length = snprintf(head, sizeof head, "P%c\n%u %u\n255\n", picture->channels == 1 ? '5' : '6',
                                (unsigned)picture->width, (unsigned)picture->height);
    const part parts[] = {{head, (size_t)length},
                          {picture->pixels, (size_t)picture->width * picture->height * picture->channels}};
    return write_file(path, parts, 2, error);
}

static void say_what_is_dropped(const char *input, const char *output, const ec_picture *picture) {
    static const char *const NAMES[] = {[EC_ICC] = "an ICC profile", [EC_EXIF] = "EXIF data", [EC_XMP] = "XMP"};
    const char *format = is_standard_stream(output) ? "ppm" : extension_of(output);
    for (uint32_t i = 0; i < picture->section_count; ++i) {
        const uint32_t tag = picture->sections[i].tag;
        if (tag >= EC_ICC && tag <= EC_XMP) say("%s: dropped %s: %s holds none", input, NAMES[tag], format);
    }
}

static void say_result(const command_line *line, const ec_picture *picture, size_t file_bytes) {
    const ec_timings *seconds = &picture->timings;
    const double pixels = (double)picture->width * picture->height;
    if (line->quiet) return;
    say_what_is_dropped(line->input, line->output, picture);
    say("%s -> %s  %ux%u  %llu bytes  %.3f bpp  %.3f s", line->input, line->output, (unsigned)picture->width,
        (unsigned)picture->height, (unsigned long long)file_bytes, 8 * (double)file_bytes / pixels,
        seconds->parse + seconds->entropy + seconds->engine + seconds->rest);
    if (!line->verbose) return;
    say("  parse %.1f ms  entropy %.1f ms  engine %.1f ms  rest %.1f ms", 1e3 * seconds->parse, 1e3 * seconds->entropy,
        1e3 * seconds->engine, 1e3 * seconds->rest);
    if (picture->tiles.count > 1) {
        say("  %u tiles of %ux%u, %.0f%% more pixels than the picture", (unsigned)picture->tiles.count,
            (unsigned)picture->tiles.width, (unsigned)picture->tiles.height, 100 * picture->tiles.overhead);
    }
}

static ec_status decode(const command_line *line, ec_codec *codec, ec_error *error) {
    ec_decode_options options = EC_INIT(ec_decode_options);
    ec_picture picture = EC_INIT(ec_picture);
    unsigned char *data = NULL;
    size_t size = 0;
    options.channels = channels_for(line->output);
    ec_status status = check_output(line->output, line->input, line->force, error);
    if (status == EC_OK) status = read_file(line->input, MOST_FILE_BYTES, &data, &size, error);
    if (status == EC_OK) {
        begin_cancellable(codec);
        status = ec_decode(codec, data, size, &options, &picture, error);
        end_cancellable();
    }
    if (status == EC_OK) status = write_picture(line->output, &picture, error);
    if (status == EC_OK) say_result(line, &picture, size);
    ec_free(picture.pixels);
    free(data);
    return status;
}

static int exit_status(ec_status status, const ec_error *error, const char *input) {
    if (signal_that_came() != 0) return 128 + signal_that_came();
    if (status == EC_OK) return EXIT_SUCCESS;
    if (error->status == CANNOT_WRITE && strcmp(error->message, strerror(EPIPE)) == 0) return NOBODY_READS;
    return report_failure(error, input);
}

int main(int count, char **arguments) {
    command_line line;
    ec_error error = EC_INIT(ec_error);
    ec_bundle *bundle = NULL;
    ec_codec *codec = NULL;
    const char *input = NULL; /* what a failure is about, once the bundle is open */

    ec_status status = read_command_line(count, arguments, &line, &error);
    if (status == EC_OK && line.help) {
        show_help();
        return EXIT_SUCCESS;
    }
    if (status == EC_OK && line.version) {
        printf("edgecodec-decode %s\n", ec_version());
        return EXIT_SUCCESS;
    }
    watch_signals();
    if (status == EC_OK) status = check_format(line.output, &error);
    if (status == EC_OK) status = check_places(line.bundle, line.output, &error);
    if (status == EC_OK) status = ec_bundle_open(line.bundle, &bundle, &error);
    if (status == EC_OK) status = ec_codec_open(bundle, &line.codec, &codec, &error);
    if (status == EC_OK) {
        status = decode(&line, codec, &error);
        /* Without an engine no picture is at fault. */
        if (status != EC_ENGINE_UNAVAILABLE) input = line.input;
    }
    const int result = exit_status(status, &error, input);
    ec_codec_close(codec);
    ec_bundle_close(bundle);
    return result;
}
