// The C functions of jobs, of decoding and of encoding.
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "edgecodec/core.h"
#include "runtime/decode_job.h"
#include "runtime/encode_job.h"
#include "runtime/load_job.h"
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

Job &job_of(ec_job *job) {
    if (job == nullptr) throw Failure(EC_INVALID_ARGUMENT, "job missing");
    return *static_cast<Job *>(job);
}

const Job &job_of(const ec_job *job) { return job_of(const_cast<ec_job *>(job)); }

// The job as one of its kinds.
template <class Kind>
Kind &as(ec_job *job, const char *wrong) {
    Kind *kind = dynamic_cast<Kind *>(&job_of(job));
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
        *out = decode_job(codec, data, size, options).release();
    });
}

ec_status ec_job_encode(ec_codec *codec, const ec_image *image, const ec_encode_options *options, ec_job **out,
                        ec_error *error) {
    return guarded(error, [&] {
        if (out == nullptr) throw Failure(EC_INVALID_ARGUMENT, "out missing");
        *out = encode_job(codec, image, options).release();
    });
}

ec_status ec_job_next(ec_job *job, ec_step *step, ec_error *error) {
    return guarded(error, [&] {
        Job &stepped = job_of(job);
        check_struct(step, "step");
        ec_step whole{};
        stepped.next(whole);
        to_caller(whole, step);
    });
}

ec_status ec_job_run(ec_job *job, ec_error *error) {
    return guarded(error, [&] { job_of(job).run(); });
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
        if (out == nullptr) throw Failure(EC_INVALID_ARGUMENT, "out missing");
        *out = job_of(job).latent(i);
    });
}

void ec_job_cancel(ec_job *job) {
    if (job != nullptr) job_of(job).cancel();
}

uint32_t ec_job_cancelled(const ec_job *job) { return job != nullptr && job_of(job).cancelled() ? 1 : 0; }

void ec_job_progress(const ec_job *job, uint32_t *done, uint32_t *count) {
    const Job::Progress progress = job != nullptr ? job_of(job).progress() : Job::Progress{};
    if (done != nullptr) *done = progress.done;
    if (count != nullptr) *count = progress.count;
}

void ec_job_close(ec_job *job) { delete static_cast<Job *>(job); }

ec_status ec_core_job_load(ec_codec *codec, uint32_t graph, uint32_t low_memory, ec_job **out, ec_error *error) {
    return guarded(error, [&] {
        if (codec == nullptr || out == nullptr) throw Failure(EC_INVALID_ARGUMENT, "codec or out missing");
        *out = new LoadJob(codec->codec, graph, low_memory != 0);
    });
}

ec_status ec_core_job_engine(const ec_job *job, ec_core_running_engine *out, ec_error *error) {
    return guarded(error, [&] {
        if (out == nullptr) throw Failure(EC_INVALID_ARGUMENT, "out missing");
        const ec_loaded_graph &loaded = job_of(job).engine();
        static_assert(sizeof out->device == sizeof loaded.device && sizeof out->version == sizeof loaded.version);
        std::memcpy(out->device, loaded.device, sizeof out->device);
        std::memcpy(out->version, loaded.version, sizeof out->version);
    });
}

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
