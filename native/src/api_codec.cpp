// The C functions of codecs.
#include <cstring>
#include <memory>
#include <string>

#include "edgecodec/core.h"
#include "runtime/codec.h"
#include "runtime/encode_job.h"
#include "support/caller_struct.h"
#include "support/status.h"

using namespace edgecodec;

namespace {

ec_core_running_engine running_engine(const ec_loaded_graph &loaded) {
    ec_core_running_engine out;
    static_assert(sizeof out.device == sizeof loaded.device && sizeof out.version == sizeof loaded.version);
    std::memcpy(out.device, loaded.device, sizeof out.device);
    std::memcpy(out.version, loaded.version, sizeof out.version);
    return out;
}

}  // namespace

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

ec_status ec_core_codec_load(ec_codec *codec, uint32_t graph, uint32_t low_memory, ec_core_running_engine *out,
                             ec_error *error) {
    return guarded(error, [&] {
        if (codec == nullptr || out == nullptr) throw Failure(EC_INVALID_ARGUMENT, "codec or out missing");
        Codec &opened = codec->codec;
        if (opened.graphs() == nullptr) throw Failure(EC_INVALID_ARGUMENT, "the codec has no engine");
        if (graph >= opened.info().graph_count) {
            throw Failure(EC_INVALID_ARGUMENT, "there is no graph " + std::to_string(graph));
        }
        const uint64_t cancellations = opened.cancellations();
        const auto proceed = [&] {
            if (opened.cancellations() != cancellations) throw Failure(EC_CANCELLED, "cancelled");
        };
        const ec_graph &wanted = *opened.info().graphs[graph];
        *out = running_engine(opened.graphs()->get(wanted, low_memory != 0, proceed)->report());
    });
}

ec_status ec_core_job_engine(const ec_job *job, ec_core_running_engine *out, ec_error *error) {
    return guarded(error, [&] {
        if (job == nullptr || out == nullptr) throw Failure(EC_INVALID_ARGUMENT, "job or out missing");
        *out = running_engine(job->job->engine());
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
        *again = job->job->take_shapes({shapes, shapes + count}) ? 1 : 0;
    });
}
