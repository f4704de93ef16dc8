/* Encodes a frame as a camera driver gives it: raw RGB, with rows that are longer than the picture is wide.
 *
 *     encode_camera frame.rgb 640 480 1984 hific.bundle frame.edgc [BITS_PER_PIXEL]
 *
 * The numbers are width and height in pixels, and bytes from row to row. With bits per pixel, for bundles whose encoder
 * has a knob for the rate, the file is the largest that keeps within them.
 */
#include <stdio.h>
#include <stdlib.h>

#include "edgecodec/edgecodec.h"
#include "failure.h"
#include "files.h"

int main(int count, char **arguments) {
    ec_error error = EC_INIT(ec_error);
    ec_bundle *bundle = NULL;
    ec_codec *codec = NULL;
    ec_image image = EC_INIT(ec_image);
    ec_encode_options options = EC_INIT(ec_encode_options);
    ec_file file = EC_INIT(ec_file);
    size_t size = 0;

    if (count != 7 && count != 8) {
        fprintf(stderr, "usage: %s FRAME WIDTH HEIGHT STRIDE BUNDLE OUT.edgc [BITS_PER_PIXEL]\n", arguments[0]);
        return 2;
    }
    uint8_t *frame = read_file(arguments[1], &size);
    if (frame == NULL) return 7;
    image.pixels = frame;
    image.width = (uint32_t)strtoul(arguments[2], NULL, 10);
    image.height = (uint32_t)strtoul(arguments[3], NULL, 10);
    image.row_stride = strtoul(arguments[4], NULL, 10);
    image.channels = 3;
    if (count == 8) options.target_bpp = strtod(arguments[7], NULL);

    /* The library cannot know how long the buffer is. The last row may end where its pixels do. */
    const size_t row = (size_t)3 * image.width;
    if (image.height == 0 || image.row_stride < row || size < image.row_stride * (image.height - 1) + row) {
        fprintf(stderr, "%s is too short for such a frame\n", arguments[1]);
        free(frame);
        return 2;
    }

    ec_status status = ec_bundle_open(arguments[5], &bundle, &error);
    if (status == EC_OK) status = ec_codec_open(bundle, NULL, &codec, &error);
    if (status == EC_OK) status = ec_encode(codec, &image, &options, &file, &error);
    if (status != EC_OK) {
        complain(&error, arguments[1]);
    } else {
        if (options.target_bpp > 0) {
            printf("%s is %g: %s the target\n", file.knob, file.value, file.reached ? "within" : "still beyond");
        }
        if (write_file(arguments[6], file.data, file.size) != 0) status = EC_CANNOT_READ; /* or write */
    }
    ec_free(file.data);
    ec_codec_close(codec);
    ec_bundle_close(bundle);
    free(frame);
    return status / 10;
}
