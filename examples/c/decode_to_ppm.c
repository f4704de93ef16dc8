/* Decodes a file to PPM, or to PGM where the picture is grey.
 *
 *     decode_to_ppm photo.edgc hific.bundle photo.ppm [alpha=0.5]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "edgecodec/edgecodec.h"
#include "failure.h"
#include "files.h"

int main(int count, char **arguments) {
    ec_error error = EC_INIT(ec_error);
    ec_bundle *bundle = NULL;
    ec_codec *codec = NULL;
    ec_codec_options options = EC_INIT(ec_codec_options);
    ec_picture picture = EC_INIT(ec_picture);
    ec_knob_value knob = {NULL, 0};
    size_t size = 0;

    if (count < 4) {
        fprintf(stderr, "usage: %s IN.edgc BUNDLE OUT.ppm [KNOB=VALUE]\n", arguments[0]);
        return 2;
    }
    if (count > 4 && strchr(arguments[4], '=') != NULL) {
        /* Knobs choose among the bundle's decoders: 0 is the most faithful alpha, 1 the most realistic. */
        char *equals = strchr(arguments[4], '=');
        *equals = 0;
        knob.name = arguments[4];
        knob.value = strtod(equals + 1, NULL);
        options.knobs = &knob;
        options.knob_count = 1;
    }
    uint8_t *file = read_file(arguments[1], &size);
    if (file == NULL) return 7;

    /* The inference engine is ONNX Runtime's shared library, found at run time; see ec_codec_options. */
    ec_status status = ec_bundle_open(arguments[2], &bundle, &error);
    if (status == EC_OK) status = ec_codec_open(bundle, &options, &codec, &error);
    if (status == EC_OK) status = ec_decode(codec, file, size, NULL, &picture, &error);
    if (status != EC_OK) {
        complain(&error, arguments[1]);
    } else if (write_picture(arguments[3], picture.pixels, picture.width, picture.height, picture.channels,
                             picture.row_stride) != 0) {
        status = EC_CANNOT_READ; /* or write */
    }

    /* In the other order than they were opened; NULL is fine for each. */
    ec_free(picture.pixels);
    ec_codec_close(codec);
    ec_bundle_close(bundle);
    free(file);
    return status / 10;
}
