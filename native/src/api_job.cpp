// The C functions of jobs, of decoding and of encoding.
#include <cstddef>
#include <cstdlib>
#include <memory>

#include "edgecodec/edgecodec.h"
#include "runtime/decode_job.h"
#include "runtime/encode_job.h"
#include "support/caller_struct.h"
#include "support/status.h"

using namespace edgecodec;

namespace {

std::unique_ptr<DecodeJob> decode_job(ec_codec *codec, const void *data, size_t size,
                                      const ec_decode_options *options) {
    if (codec == nullptr || (data == nullptr && size > 0)) throw Failure(EC_INVALID_ARGUMENT, "codec or data missing");
    return std::make_unique<DecodeJob>(codec->codec, static_cast<const uint8_t *>(data), size,
                                       from_caller(options, "options"));
}

std::unique_ptr<EncodeJob> encode_job(ec_codec *codec, const ec_image *image, const ec_encode_options *options) {
    if (codec == nullptr) throw Failure(EC_INVALID_ARGUMENT, "codec missing");
    check_struct(image, "image");
    return std::make_unique<EncodeJob>(codec->codec, from_caller(image, "image"), from_caller(options, "options"));
}

// The job as one of its kinds.
template <class Kind>
Kind &as(ec_job *job, const char *wrong) {
    if (job == nullptr) throw Failure(EC_INVALID_ARGUMENT, "job missing");
    Kind *kind = dynamic_cast<Kind *>(job->job.get());
    if (kind == nullptr) throw Failure(EC_INVALID_ARGUMENT, wrong);
    return *kind;
}

// Results in memory that the caller could not find, or not free, are not made.
constexpr size_t kPictureNeeded = offsetof(ec_picture, section_count), kFileNeeded = offsetof(ec_file, timings);

void finish_decode(DecodeJob &job, ec_picture *picture) {
    ec_picture whole = from_caller(picture, "picture");
    job.finish(whole);
    to_caller(whole, picture);
}

void finish_encode(EncodeJob &job, ec_file *file) {
    ec_file whole = from_caller(file, "file");
    if (whole.data != nullptr && job.size() > whole.capacity) file->size = job.size();
    job.finish(whole);
    to_caller(whole, file);
}

}  // namespace

ec_status ec_peek(const void *data, size_t size, ec_file_info *out, ec_error *error) {
    return guarded(error, [&] {
        if (data == nullptr && size > 0) throw Failure(EC_INVALID_ARGUMENT, "data missing");
        check_struct(out, "out");
        to_caller(file_info(static_cast<const uint8_t *>(data), size), out);
    });
}

ec_status ec_job_decode(ec_codec *codec, const void *data, size_t size, const ec_decode_options *options, ec_job **out,
                        ec_error *error) {
    return guarded(error, [&] {
        if (out == nullptr) throw Failure(EC_INVALID_ARGUMENT, "out missing");
        *out = new ec_job{decode_job(codec, data, size, options)};
    });
}

ec_status ec_job_encode(ec_codec *codec, const ec_image *image, const ec_encode_options *options, ec_job **out,
                        ec_error *error) {
    return guarded(error, [&] {
        if (out == nullptr) throw Failure(EC_INVALID_ARGUMENT, "out missing");
        *out = new ec_job{encode_job(codec, image, options)};
    });
}

ec_status ec_job_next(ec_job *job, ec_step *step, ec_error *error) {
    return guarded(error, [&] {
        if (job == nullptr) throw Failure(EC_INVALID_ARGUMENT, "job missing");
        check_struct(step, "step");
        ec_step whole{};
        job->job->next(whole);
        to_caller(whole, step);
    });
}

ec_status ec_job_run(ec_job *job, ec_error *error) {
    return guarded(error, [&] {
        if (job == nullptr) throw Failure(EC_INVALID_ARGUMENT, "job missing");
        job->job->run();
    });
}

ec_status ec_job_finish_decode(ec_job *job, ec_picture *picture, ec_error *error) {
    return guarded(error, [&] {
        DecodeJob &decode = as<DecodeJob>(job, "the job encodes");
        check_struct(picture, "picture", kPictureNeeded);
        finish_decode(decode, picture);
    });
}

ec_status ec_job_finish_encode(ec_job *job, ec_file *file, ec_error *error) {
    return guarded(error, [&] {
        EncodeJob &encode = as<EncodeJob>(job, "the job decodes");
        check_struct(file, "file", kFileNeeded);
        finish_encode(encode, file);
    });
}

ec_status ec_job_latent(const ec_job *job, size_t i, ec_tensor *out, ec_error *error) {
    return guarded(error, [&] {
        if (job == nullptr || out == nullptr) throw Failure(EC_INVALID_ARGUMENT, "job or out missing");
        *out = job->job->latent(i);
    });
}

void ec_job_close(ec_job *job) { delete job; }

ec_status ec_decode(ec_codec *codec, const void *data, size_t size, const ec_decode_options *options,
                    ec_picture *picture, ec_error *error) {
    return guarded(error, [&] {
        check_struct(picture, "picture", kPictureNeeded);
        const std::unique_ptr<DecodeJob> job = decode_job(codec, data, size, options);
        job->place(from_caller(picture, "picture"));
        job->run();
        finish_decode(*job, picture);
    });
}

ec_status ec_encode(ec_codec *codec, const ec_image *image, const ec_encode_options *options, ec_file *file,
                    ec_error *error) {
    return guarded(error, [&] {
        check_struct(file, "file", kFileNeeded);
        const std::unique_ptr<EncodeJob> job = encode_job(codec, image, options);
        job->run();
        finish_encode(*job, file);
    });
}

void ec_free(void *memory) { std::free(memory); }
