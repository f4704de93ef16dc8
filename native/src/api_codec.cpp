// The C functions of codecs.
#include <memory>

#include "edgecodec/core.h"
#include "runtime/codec.h"
#include "runtime/encode_job.h"
#include "support/caller_struct.h"
#include "support/status.h"

using namespace edgecodec;

ec_status ec_codec_open(const ec_bundle *bundle, const ec_codec_options *options, ec_codec **out, ec_error *error) {
    return guarded(error, [&] {
        if (bundle == nullptr || out == nullptr) throw Failure(EC_INVALID_ARGUMENT, "bundle or out missing");
        *out = new ec_codec(bundle->bundle, from_caller(options, "options"));
    });
}

void ec_codec_cancel(ec_codec *codec) {
    if (codec != nullptr) codec->codec.cancel();
}

void ec_codec_close(ec_codec *codec) { delete codec; }

ec_status ec_core_check_encoding(const ec_codec *codec, const ec_encode_options *options, ec_error *error) {
    return guarded(error, [&] {
        if (codec == nullptr) throw Failure(EC_INVALID_ARGUMENT, "codec missing");
        check_encoding(codec->codec, from_caller(options, "options"));
    });
}

ec_status ec_core_check_decoding(const ec_codec *codec, const ec_decode_options *options, ec_error *error) {
    return guarded(error, [&] {
        if (codec == nullptr) throw Failure(EC_INVALID_ARGUMENT, "codec missing");
        const ec_decode_options chosen = from_caller(options, "options");
        codec->codec.decoder_knobs(knob_values(chosen.knobs, chosen.knob_count));
    });
}

void ec_core_codec_unload(ec_codec *codec) {
    if (codec != nullptr && codec->codec.graphs() != nullptr) codec->codec.graphs()->unload();
}

ec_status ec_core_job_shapes(ec_job *job, const ec_shape_range *shapes, size_t count, uint32_t *again,
                             ec_error *error) {
    return guarded(error, [&] {
        if (job == nullptr || again == nullptr || (shapes == nullptr && count > 0) || count > EC_MAX_SHAPES) {
            throw Failure(EC_INVALID_ARGUMENT, "job, shapes or again missing, or too many shapes");
        }
        *again = static_cast<Job *>(job)->take_shapes({shapes, shapes + count}) ? 1 : 0;
    });
}
