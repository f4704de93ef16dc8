/* Decodes from memory into memory of the caller's, such as a frame buffer whose rows are padded. Nothing is allocated
 * by the library for the picture.
 *
 *     decode_to_memory photo.edgc hific.bundle photo.ppm
 */
#include <stdio.h>
#include <stdlib.h>

#include "edgecodec/edgecodec.h"
#include "failure.h"
#include "files.h"

enum { ROW_ALIGNMENT = 64, CHANNELS = 3 };

int main(int count, char **arguments) {
    ec_error error = EC_INIT(ec_error);
    ec_file_info info = EC_INIT(ec_file_info);
    ec_bundle *bundle = NULL;
    ec_codec *codec = NULL;
    ec_decode_options options = EC_INIT(ec_decode_options);
    ec_picture picture = EC_INIT(ec_picture);
    size_t size = 0;

    if (count != 4) {
        fprintf(stderr, "usage: %s IN.edgc BUNDLE OUT.ppm\n", arguments[0]);
        return 2;
    }
    uint8_t *file = read_file(arguments[1], &size);
    if (file == NULL) return 7;

    /* The head of the file says how large the picture is, before anything is decoded and without a bundle. It comes
     * from the file, so a program that has little memory compares it with what it has. */
    ec_status status = ec_peek(file, size, &info, &error);
    if (status == EC_OK) {
        picture.row_stride = ((size_t)info.width * CHANNELS + ROW_ALIGNMENT - 1) / ROW_ALIGNMENT * ROW_ALIGNMENT;
        picture.capacity = picture.row_stride * info.height;
        picture.pixels = (uint8_t *)malloc(picture.capacity);
        if (picture.pixels == NULL) {
            perror(arguments[1]);
            free(file);
            return EC_NO_MEMORY / 10;
        }
    }

    /* Always three channels, so that the buffer fits a grey picture too. */
    options.channels = CHANNELS;
    if (status == EC_OK) status = ec_bundle_open(arguments[2], &bundle, &error);
    if (status == EC_OK) status = ec_codec_open(bundle, NULL, &codec, &error);
    if (status == EC_OK) status = ec_decode(codec, file, size, &options, &picture, &error);
    if (status != EC_OK) {
        complain(&error, arguments[1]);
    } else if (write_picture(arguments[3], picture.pixels, picture.width, picture.height, CHANNELS,
                             picture.row_stride) != 0) {
        status = EC_CANNOT_READ; /* or write */
    }
    ec_codec_close(codec);
    ec_bundle_close(bundle);
    free(picture.pixels); /* ours, so not with ec_free */
    free(file);
    return status / 10;
}
