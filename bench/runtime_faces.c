/* What a C program pays for a picture, for bench/runtime_faces.py:
 *
 *     runtime_faces BUNDLE FILE.edgc ROUNDS
 *
 * Prints `name value` lines: milliseconds, and bytes of resident memory. */
#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "edgecodec/edgecodec.h"

static double milliseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return 1e3 * (double)now.tv_sec + 1e-6 * (double)now.tv_nsec;
}

static double resident_bytes(void) {
    long whole = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file == NULL || fscanf(file, "%ld %ld", &whole, &resident) != 2) return 0;
    fclose(file);
    return (double)resident * (double)sysconf(_SC_PAGESIZE);
}

static void must(ec_status status, const ec_error *error) {
    if (status == EC_OK) return;
    fprintf(stderr, "%s: %s\n", error->where, error->message);
    exit(1);
}

int main(int count, char **arguments) {
    const double start = milliseconds();
    if (count != 4) return 2;
    static uint8_t data[1 << 24];
    FILE *file = fopen(arguments[2], "rb");
    if (file == NULL) return 2;
    const size_t size = fread(data, 1, sizeof data, file);
    fclose(file);

    ec_error error = EC_INIT(ec_error);
    ec_bundle *bundle = NULL;
    ec_codec *codec = NULL;
    ec_codec_options options = EC_INIT(ec_codec_options);
    options.threads = 1;
    must(ec_bundle_open(arguments[1], &bundle, &error), &error);
    options.engine = EC_NO_ENGINE;
    const double before = resident_bytes();
    must(ec_codec_open(bundle, &options, &codec, &error), &error);
    printf("open_bytes %.0f\n", resident_bytes() - before);
    ec_codec_close(codec);

    options.engine = NULL;
    must(ec_codec_open(bundle, &options, &codec, &error), &error);
    ec_picture picture = EC_INIT(ec_picture);
    must(ec_decode(codec, data, size, NULL, &picture, &error), &error);
    /* The engine's share is opening ONNX Runtime, making its session, and the first run. */
    printf("first_pixel %.3f\nfirst_engine %.3f\n", milliseconds() - start, 1e3 * picture.timings.engine);
    ec_free(picture.pixels);

    for (int round = 0; round < atoi(arguments[3]); ++round) {
        picture = (ec_picture)EC_INIT(ec_picture);
        const double begin = milliseconds();
        must(ec_decode(codec, data, size, NULL, &picture, &error), &error);
        const double total = milliseconds() - begin;
        printf("decode %.4f\nfloor %.4f\n", total, 1e3 * (picture.timings.engine + picture.timings.entropy));
        ec_free(picture.pixels);
    }
    ec_codec_close(codec);
    ec_bundle_close(bundle);
    return 0;
}
