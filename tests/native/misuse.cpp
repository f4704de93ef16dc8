// Callers and engines that do not keep to edgecodec.h: each call is refused with a status, or has a result that is right,
// and none touches memory that is not its own. To be run under the sanitizers.
//
//     misuse BUNDLE [order|failures|images|strides|sections|structs|liars|waiting|one_of_several]...
//
// Without names all of them. The exit status is 1 if a check fails; the output then names it.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "edgecodec/edgecodec.h"
#include "runtime_checks.h"
#include "stub_engine.h"

namespace {

constexpr uint32_t kTile = 64;

ec_codec_options in_tiles() {
    ec_codec_options options = EC_INIT(ec_codec_options);
    options.tile = kTile;
    return options;
}

class Job {
public:
    Job(const Codec &codec, const std::vector<uint8_t> &data) {
        ec_error error = EC_INIT(ec_error);
        must(ec_job_decode(codec.get(), data.data(), data.size(), nullptr, &job_, &error), error);
    }
    Job(const Codec &codec, const ec_image &image, const ec_encode_options *options = nullptr) {
        ec_error error = EC_INIT(ec_error);
        must(ec_job_encode(codec.get(), &image, options, &job_, &error), error);
    }
    ~Job() { ec_job_close(job_); }
    ec_job *get() const { return job_; }

private:
    ec_job *job_ = nullptr;
};

ec_image image_of(const std::vector<uint8_t> &pixels, uint32_t width, uint32_t height) {
    ec_image image = EC_INIT(ec_image);
    image.pixels = pixels.data();
    image.width = width;
    image.height = height;
    image.channels = 3;
    return image;
}

// The steps of a job on the stub, until there are none.
void run_steps(const StubEngine &engine, ec_job *job) {
    ec_error error = EC_INIT(ec_error);
    while (true) {
        ec_step step = EC_INIT(ec_step);
        must(ec_job_next(job, &step, &error), error);
        if (step.graph == nullptr) return;
        engine.table()->run(engine.table()->context, job, const_cast<ec_graph *>(step.graph), step.inputs,
                            step.input_count, step.outputs, step.output_count, &error);
    }
}

std::vector<uint8_t> pixels_of(ec_job *job) {
    ec_picture out = EC_INIT(ec_picture);
    ec_error error = EC_INIT(ec_error);
    must(ec_job_finish_decode(job, &out, &error), error);
    std::vector<uint8_t> pixels(out.pixels, out.pixels + out.row_stride * out.height);
    ec_free(out.pixels);
    return pixels;
}

// A job's functions in any order.
void order(const Bundle &bundle) {
    StubEngine engine;
    const Codec codec(bundle, engine, in_tiles());
    const std::vector<uint8_t> data = encoded(codec.get(), 200, 150, 3);
    const std::vector<uint8_t> expected = decoded(codec.get(), data);
    ec_picture out = EC_INIT(ec_picture);
    ec_file file = EC_INIT(ec_file);
    ec_step step = EC_INIT(ec_step);
    {
        const Job job(codec, data);
        expect(ec_job_finish_decode(job.get(), &out, nullptr) == EC_INVALID_ARGUMENT, "finish before the first step");
        must(ec_job_next(job.get(), &step, nullptr), EC_INIT(ec_error));
        expect(ec_job_finish_decode(job.get(), &out, nullptr) == EC_INVALID_ARGUMENT, "finish after the first step");
        expect(ec_job_run(job.get(), nullptr) == EC_INVALID_ARGUMENT, "run after a step");
        engine.table()->run(engine.table()->context, job.get(), const_cast<ec_graph *>(step.graph), step.inputs,
                            step.input_count, step.outputs, step.output_count, nullptr);
        run_steps(engine, job.get());
        expect(ec_job_run(job.get(), nullptr) == EC_OK, "run after the last step has nothing to do");
        expect(ec_job_finish_encode(job.get(), &file, nullptr) == EC_INVALID_ARGUMENT, "a file of a job that decodes");
        expect(pixels_of(job.get()) == expected, "the caller's steps after a run that was refused");
        expect(ec_job_finish_decode(job.get(), &out, nullptr) == EC_INVALID_ARGUMENT && out.pixels == nullptr,
               "finish twice");
        expect(ec_job_next(job.get(), &step, nullptr) == EC_OK && step.graph == nullptr, "a step after finish");
        expect(ec_job_run(job.get(), nullptr) == EC_OK, "run after finish");
    }
    const std::vector<uint8_t> pixels = picture(200, 150, 3);
    const Job job(codec, image_of(pixels, 200, 150));
    ec_tensor latent{};
    expect(ec_job_latent(job.get(), 0, &latent, nullptr) == EC_INVALID_ARGUMENT, "latents before they are there");
    expect(ec_job_run(job.get(), nullptr) == EC_OK, "run");
    expect(ec_job_finish_decode(job.get(), &out, nullptr) == EC_INVALID_ARGUMENT, "pixels of a job that encodes");
    for (int i = 0; i < 2; ++i) {
        file = EC_INIT(ec_file);
        expect(ec_job_finish_encode(job.get(), &file, nullptr) == EC_OK &&
                   std::vector<uint8_t>(file.data, file.data + file.size) == data,
               "a file as often as it is asked for");
        ec_free(file.data);
    }
    expect(ec_job_latent(job.get(), 0, &latent, nullptr) == EC_OK, "latents");
    expect(ec_job_latent(job.get(), SIZE_MAX, &latent, nullptr) == EC_INVALID_ARGUMENT, "latents beyond the last");
}

// A job that has failed gives no picture: what the engine left of a step must not become pixels.
void failures(const Bundle &bundle) {
    StubEngine engine;
    const Codec codec(bundle, engine, in_tiles());
    const std::vector<uint8_t> data = encoded(codec.get(), 200, 150, 3);
    ec_picture out = EC_INIT(ec_picture);
    ec_step step = EC_INIT(ec_step);
    const Job job(codec, data);
    engine.run_status = EC_NO_MEMORY;
    expect(ec_job_run(job.get(), nullptr) == EC_NO_MEMORY, "the engine's failure");
    engine.run_status = EC_OK;
    expect(ec_job_run(job.get(), nullptr) == EC_INVALID_ARGUMENT, "run after a failure");
    expect(ec_job_next(job.get(), &step, nullptr) == EC_INVALID_ARGUMENT, "a step after a failure");
    expect(ec_job_finish_decode(job.get(), &out, nullptr) == EC_INVALID_ARGUMENT && out.pixels == nullptr,
           "no picture after a failure");

    const std::vector<uint8_t> pixels = picture(200, 150, 3);
    const Job encodes(codec, image_of(pixels, 200, 150));
    must(ec_job_next(encodes.get(), &step, nullptr), EC_INIT(ec_error));
    *static_cast<float *>(step.outputs[0].data) = std::numeric_limits<float>::quiet_NaN();
    expect(ec_job_next(encodes.get(), &step, nullptr) == EC_ENGINE_FAILED, "values that are not numbers");
    ec_file file = EC_INIT(ec_file);
    expect(ec_job_next(encodes.get(), &step, nullptr) == EC_INVALID_ARGUMENT, "a step after values that are none");
    expect(ec_job_finish_encode(encodes.get(), &file, nullptr) == EC_INVALID_ARGUMENT && file.data == nullptr,
           "no file after values that are not numbers");
}

// Images that are none, each with the reason.
void images(const Bundle &bundle) {
    StubEngine engine;
    const Codec codec(bundle, engine);
    const std::vector<uint8_t> pixels = picture(40, 41, 3);
    const auto refused = [&](const char *problem, auto &&change) {
        ec_image image = image_of(pixels, 40, 41);
        change(image);
        ec_file file = EC_INIT(ec_file);
        ec_error error = EC_INIT(ec_error);
        expect(ec_encode(codec.get(), &image, nullptr, &file, &error) == EC_INVALID_ARGUMENT && file.data == nullptr &&
                   std::strcmp(error.message, problem) == 0,
               problem);
    };
    refused("the image has no pixels", [](ec_image &image) { image.pixels = nullptr; });
    refused("the image is empty", [](ec_image &image) { image.width = 0; });
    refused("the image is empty", [](ec_image &image) { image.height = 0; });
    refused("the image has 2 channels", [](ec_image &image) { image.channels = 2; });
    refused("the image has 4 channels", [](ec_image &image) { image.channels = 4; });
    refused("rows of the image overlap", [](ec_image &image) { image.row_stride = 40 * 3 - 1; });
}

// Memory of the caller's whose size does not fit a size_t.
void strides(const Bundle &bundle) {
    StubEngine engine;
    const Codec codec(bundle, engine);
    const std::vector<uint8_t> data = encoded(codec.get(), 40, 41, 3);
    std::vector<uint8_t> own(40 * 3);
    for (const size_t stride : {SIZE_MAX, SIZE_MAX / 2 + 1, SIZE_MAX / 40 + 1, size_t{119}}) {
        ec_picture out = EC_INIT(ec_picture);
        out.pixels = own.data();
        out.capacity = own.size();
        out.row_stride = stride;
        expect(ec_decode(codec.get(), data.data(), data.size(), nullptr, &out, nullptr) == EC_INVALID_ARGUMENT,
               "rows " + std::to_string(stride) + " bytes apart");
    }
}

// Metadata that no file can hold is refused before the engine works, and before it is copied.
void sections(const Bundle &bundle) {
    StubEngine engine;
    const Codec codec(bundle, engine);
    const std::vector<uint8_t> pixels = picture(40, 41, 3);
    const ec_image image = image_of(pixels, 40, 41);
    const ec_section twice[] = {{EC_ICC, pixels.data(), 5}, {EC_EXIF, pixels.data(), 5}, {EC_ICC, pixels.data(), 6}};
    const ec_section large[] = {{EC_XMP, pixels.data(), size_t{UINT32_MAX} + 1}};
    const ec_section unknown[] = {{128, pixels.data(), 8}};
    const ec_section missing[] = {{EC_ICC, nullptr, 1}};
    for (const auto &[given, count] : {std::pair{twice, size_t{3}},
                                       {large, size_t{1}},
                                       {unknown, size_t{1}},
                                       {missing, size_t{1}},
                                       {static_cast<const ec_section *>(nullptr), size_t{1}}}) {
        ec_encode_options options = EC_INIT(ec_encode_options);
        options.sections = given;
        options.section_count = count;
        ec_job *job = nullptr;
        expect(ec_job_encode(codec.get(), &image, &options, &job, nullptr) == EC_INVALID_ARGUMENT && job == nullptr,
               "sections that no file can hold");
        ec_job_close(job);
    }
}

// A caller that was compiled with an older version has no more memory than its struct_size.
template <class Struct>
class Older {
public:
    explicit Older(size_t size) : memory_(static_cast<Struct *>(std::calloc(1, size))) {
        std::memcpy(static_cast<void *>(memory_), &size, sizeof size);
    }
    ~Older() { std::free(memory_); }
    Older(const Older &) = delete;
    Older &operator=(const Older &) = delete;
    Struct *get() const { return memory_; }

private:
    Struct *memory_;
};

void structs(const Bundle &bundle) {
    StubEngine engine;
    const Codec codec(bundle, engine);
    const std::vector<uint8_t> data = encoded(codec.get(), 40, 41, 3), pixels = picture(40, 41, 3);
    const ec_image image = image_of(pixels, 40, 41);
    for (size_t size = sizeof(size_t); size < sizeof(ec_file); ++size) {
        const Older<ec_file> file(size);
        const ec_status status = ec_encode(codec.get(), &image, nullptr, file.get(), nullptr);
        const bool tells = size >= offsetof(ec_file, size) + sizeof(size_t);
        expect(status == (tells ? EC_OK : EC_INVALID_ARGUMENT),
               "a file's struct of " + std::to_string(size) + " bytes");
        if (status == EC_OK) ec_free(file.get()->data);
        if (!tells) continue;
        const Older<ec_file> small(size);
        uint8_t byte = 0;
        small.get()->data = &byte;
        small.get()->capacity = 1;
        expect(ec_encode(codec.get(), &image, nullptr, small.get(), nullptr) == EC_INVALID_ARGUMENT &&
                   small.get()->size == data.size(),
               "the size that is needed, in a struct of " + std::to_string(size) + " bytes");
    }
    for (size_t size = sizeof(size_t); size < sizeof(ec_picture); ++size) {
        const Older<ec_picture> picture(size);
        const ec_status status = ec_decode(codec.get(), data.data(), data.size(), nullptr, picture.get(), nullptr);
        const bool tells = size >= offsetof(ec_picture, channels) + sizeof(uint32_t);
        expect(status == (tells ? EC_OK : EC_INVALID_ARGUMENT),
               "a picture's struct of " + std::to_string(size) + " bytes");
        if (status == EC_OK) ec_free(picture.get()->pixels);
    }
    for (size_t size = 0; size < sizeof(ec_error); size = size < 1200 ? size + 1 : size + 97) {
        const Older<ec_error> error(std::max(size, sizeof size));
        error.get()->struct_size = size;
        expect(ec_decode(codec.get(), data.data(), 9, nullptr, nullptr, error.get()) == EC_INVALID_ARGUMENT &&
                   error.get()->struct_size == size,
               "an error's struct of " + std::to_string(size) + " bytes");
    }
    const auto each_size = [&](size_t whole, auto &&call) {
        for (size_t size = sizeof(size_t); size < whole; ++size) call(size);
    };
    each_size(sizeof(ec_file_info), [&](size_t size) {
        const Older<ec_file_info> info(size);
        expect(ec_peek(data.data(), data.size(), info.get(), nullptr) == EC_OK, "peek");
    });
    each_size(sizeof(ec_bundle_info), [&](size_t size) {
        const Older<ec_bundle_info> info(size);
        expect(ec_bundle_describe(bundle.get(), info.get(), nullptr) == EC_OK, "describe");
    });
    each_size(sizeof(ec_graph_data), [&](size_t size) {
        const Older<ec_graph_data> graph(size);
        expect(ec_graph_open(bundle.get(), 0, graph.get(), nullptr) == EC_INVALID_ARGUMENT, "a graph without owner");
    });
    each_size(sizeof(ec_step), [&](size_t size) {
        const Job job(codec, data);
        const Older<ec_step> step(size);
        expect(ec_job_next(job.get(), step.get(), nullptr) == EC_OK, "a step");
    });
    each_size(sizeof(ec_encode_options), [&](size_t size) {
        const Older<ec_encode_options> options(size);
        ec_file file = EC_INIT(ec_file);
        expect(ec_encode(codec.get(), &image, options.get(), &file, nullptr) == EC_OK, "options to encode");
        ec_free(file.data);
    });
    each_size(sizeof(ec_codec_options), [&](size_t size) {
        const Older<ec_codec_options> options(size);
        ec_codec *opened = nullptr;
        if (size < offsetof(ec_codec_options, engine) + sizeof(char *)) return;
        options.get()->engine = EC_NO_ENGINE;
        expect(ec_codec_open(bundle.get(), options.get(), &opened, nullptr) == EC_OK, "a codec's options");
        ec_codec_close(opened);
    });
}

using Run = decltype(ec_engine::run);
using Load = decltype(ec_engine::load);

class LyingCodec {
public:
    LyingCodec(const Bundle &bundle, const StubEngine &engine, Load load, Run run) : table_(*engine.table()) {
        truthful = engine.table();
        if (load != nullptr) table_.load = load;
        if (run != nullptr) table_.run = run;
        ec_codec_options options = EC_INIT(ec_codec_options);
        options.engine_table = &table_;
        options.threads = 1;
        ec_error error = EC_INIT(ec_error);
        must(ec_codec_open(bundle.get(), &options, &codec_, &error), error);
    }
    ~LyingCodec() { ec_codec_close(codec_); }
    ec_codec *get() const { return codec_; }

    static const ec_engine *truthful;

private:
    ec_engine table_;
    ec_codec *codec_ = nullptr;
};

const ec_engine *LyingCodec::truthful = nullptr;

// Engines that write what they must not.
void liars(const Bundle &bundle) {
    StubEngine engine;
    const Codec honest(bundle, engine);
    const std::vector<uint8_t> data = encoded(honest.get(), 40, 41, 3), pixels = picture(40, 41, 3);
    const ec_image image = image_of(pixels, 40, 41);
    ec_picture out = EC_INIT(ec_picture);
    ec_file file = EC_INIT(ec_file);
    ec_error error = EC_INIT(ec_error);

    const LyingCodec resizes(bundle, engine, nullptr,
                             [](void *context, const ec_job *job, void *graph, const ec_tensor *inputs,
                                size_t input_count, ec_tensor *outputs, size_t output_count, ec_error *problem) {
                                 const ec_status status = LyingCodec::truthful->run(
                                     context, job, graph, inputs, input_count, outputs, output_count, problem);
                                 for (size_t i = 0; i < output_count; ++i) {
                                     outputs[i].bytes *= 1000;
                                     outputs[i].shape[2] *= 1000;
                                     outputs[i].rank = 4000000;
                                     outputs[i].name = nullptr;
                                 }
                                 return status;
                             });
    expect(ec_encode(resizes.get(), &image, nullptr, &file, &error) == EC_OK &&
               std::vector<uint8_t>(file.data, file.data + file.size) == data,
           "an engine that changes the description of its outputs");
    ec_free(file.data);
    file = EC_INIT(ec_file);

    const LyingCodec hides(bundle, engine, nullptr,
                           [](void *, const ec_job *, void *, const ec_tensor *, size_t, ec_tensor *outputs,
                              size_t output_count, ec_error *) {
                               for (size_t i = 0; i < output_count; ++i) {
                                   const size_t count = outputs[i].bytes / sizeof(float);
                                   float *values = static_cast<float *>(outputs[i].data);
                                   for (size_t k = 0; k < count; ++k) values[k] = 1e30F;
                                   outputs[i].bytes = 0;
                               }
                               return EC_OK;
                           });
    expect(ec_encode(hides.get(), &image, nullptr, &file, &error) == EC_OUT_OF_RANGE && file.data == nullptr,
           "an engine that hides values out of range");

    const LyingCodec takes_away(
        bundle, engine, nullptr,
        [](void *, const ec_job *, void *, const ec_tensor *, size_t, ec_tensor *outputs, size_t, ec_error *) {
            outputs[0].data = nullptr;
            outputs[0].name = nullptr;
            return EC_OK;
        });
    expect(ec_decode(takes_away.get(), data.data(), data.size(), nullptr, &out, &error) != EC_OK,
           "an engine that gives no output");

    const LyingCodec shouts(
        bundle, engine, nullptr,
        [](void *, const ec_job *, void *, const ec_tensor *, size_t, ec_tensor *, size_t, ec_error *problem) {
            std::memset(problem->message, 'A', sizeof problem->message);
            std::memset(problem->where, 'B', sizeof problem->where);
            std::memset(problem->hint, 'C', sizeof problem->hint);
            return EC_ENGINE_FAILED;
        });
    expect(ec_decode(shouts.get(), data.data(), data.size(), nullptr, &out, &error) == EC_ENGINE_FAILED &&
               std::strlen(error.message) < sizeof error.message && error.message[0] == 'A' && error.where[0] == 'B' &&
               error.where[500] == 'B' && error.hint[0] == 'C',
           "an engine whose texts have no end");

    for (const ec_side_range range :
         {ec_side_range{UINT32_MAX, 0, 1}, ec_side_range{UINT32_MAX, UINT32_MAX, 0}, ec_side_range{3037000500, 0, 0},
          ec_side_range{1u << 31, 0, 1u << 31}, ec_side_range{0, 0, UINT32_MAX}, ec_side_range{5, 3, 0}}) {
        StubEngine absurd;
        absurd.shapes = {{range, range}};
        const Codec codec(bundle, absurd);
        expect(ec_decode(codec.get(), data.data(), data.size(), nullptr, &out, &error) == EC_ENGINE_FAILED &&
                   out.pixels == nullptr,
               "an engine that takes " + std::to_string(range.least) + " to " + std::to_string(range.most) +
                   " pixels: " + error.message);
        expect(ec_encode(codec.get(), &image, nullptr, &file, &error) == EC_ENGINE_FAILED && file.data == nullptr,
               "an engine that takes such pictures only: " + std::string(error.message));
    }
    const LyingCodec many(
        bundle, engine,
        [](void *context, const ec_job *job, const ec_graph_data *graph, const ec_engine_options *options,
           ec_loaded_graph *loaded, ec_error *problem) {
            const ec_status status = LyingCodec::truthful->load(context, job, graph, options, loaded, problem);
            loaded->shape_count = UINT32_MAX;
            return status;
        },
        nullptr);
    const int before = engine.loaded;
    expect(ec_decode(many.get(), data.data(), data.size(), nullptr, &out, &error) == EC_ENGINE_FAILED &&
               engine.loaded == before,
           "an engine with 2^32 shapes");
}

// Those that wait for another call when they are cancelled end without beginning one of their own.
void waiting(const Bundle &bundle) {
    StubEngine engine;
    engine.serial = 1;
    const Codec codec(bundle, engine);
    const std::vector<uint8_t> data = encoded(codec.get(), 100, 100, 3);
    decoded(codec.get(), data);
    const int before = engine.runs;
    engine.waits = true;
    std::vector<ec_status> statuses(4, EC_OK);
    std::vector<std::thread> workers;
    for (ec_status &status : statuses) {
        workers.emplace_back([&] {
            ec_picture out = EC_INIT(ec_picture);
            status = ec_decode(codec.get(), data.data(), data.size(), nullptr, &out, nullptr);
            ec_free(out.pixels);
        });
    }
    while (engine.running == 0) std::this_thread::yield();
    // Long enough for the others to come to where they wait. Where they do not, they begin none either.
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    ec_codec_cancel(codec.get());
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    expect(engine.runs - before == 1, "no run begins after a cancellation");
    engine.waits = false;
    for (std::thread &worker : workers) worker.join();
    for (const ec_status status : statuses) expect(status == EC_CANCELLED, "all that wait are cancelled");

    // The same while a graph is loaded.
    static std::atomic<int> loads{0};
    static std::atomic<bool> held{false};
    loads = 0;
    held = true;
    const LyingCodec slow(
        bundle, engine,
        [](void *context, const ec_job *job, const ec_graph_data *graph, const ec_engine_options *options,
           ec_loaded_graph *loaded, ec_error *problem) {
            ++loads;
            while (held) std::this_thread::yield();
            if (loads == 1) return EC_CANCELLED;
            return LyingCodec::truthful->load(context, job, graph, options, loaded, problem);
        },
        nullptr);
    workers.clear();
    for (ec_status &status : statuses) {
        workers.emplace_back([&] {
            ec_picture out = EC_INIT(ec_picture);
            status = ec_decode(slow.get(), data.data(), data.size(), nullptr, &out, nullptr);
            ec_free(out.pixels);
        });
    }
    while (loads == 0) std::this_thread::yield();
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    ec_codec_cancel(slow.get());
    held = false;
    for (std::thread &worker : workers) worker.join();
    for (const ec_status status : statuses) expect(status == EC_CANCELLED, "all that wait for a load are cancelled");
    expect(loads == 1, "no load begins after a cancellation");
}

// A job that runs in a thread of its own.
class RunningJob {
public:
    RunningJob(ec_codec *codec, const std::vector<uint8_t> &data) {
        ec_error error = EC_INIT(ec_error);
        must(ec_job_decode(codec, data.data(), data.size(), nullptr, &job_, &error), error);
        thread_ = std::thread([this] { status_ = ec_job_run(job_, nullptr); });
    }
    ~RunningJob() {
        if (thread_.joinable()) thread_.join();
        ec_job_close(job_);
    }
    RunningJob(const RunningJob &) = delete;
    RunningJob &operator=(const RunningJob &) = delete;
    ec_job *get() const { return job_; }
    ec_status wait() {
        thread_.join();
        return status_;
    }

private:
    ec_job *job_ = nullptr;
    ec_status status_ = EC_OK;
    std::thread thread_;
};

// One of several jobs is cancelled: the others go on, whether it ran, loaded, or waited for one that does.
void one_of_several(const Bundle &bundle) {
    StubEngine engine;
    engine.serial = 1;
    const Codec codec(bundle, engine);
    const std::vector<uint8_t> data = encoded(codec.get(), 100, 100, 3);
    const std::vector<uint8_t> expected = decoded(codec.get(), data);
    engine.waits = true;
    {
        RunningJob first(codec.get(), data);
        while (engine.running == 0) std::this_thread::yield();
        RunningJob second(codec.get(), data), third(codec.get(), data);
        std::this_thread::sleep_for(std::chrono::milliseconds(100));  // until they wait; no matter if they do not
        const int before = engine.runs;
        ec_job_cancel(second.get());
        expect(second.wait() == EC_CANCELLED && engine.running == 1 && engine.runs == before,
               "a job that is cancelled does not wait for another's run");
        expect(ec_job_cancelled(second.get()) == 1 && ec_job_cancelled(first.get()) == 0, "whose cancellation it is");
        ec_job_cancel(first.get());
        expect(first.wait() == EC_CANCELLED, "a job that is cancelled while it runs");
        expect(engine.cancels == 2 && engine.cancelled == first.get(), "the engine is told whose run to end");
        engine.waits = false;
        expect(third.wait() == EC_OK && pixels_of(third.get()) == expected, "the next in turn is not cancelled");
    }

    static std::atomic<int> loads{0};
    static std::atomic<bool> held{true};
    const LyingCodec slow(
        bundle, engine,
        [](void *context, const ec_job *job, const ec_graph_data *graph, const ec_engine_options *options,
           ec_loaded_graph *loaded, ec_error *problem) {
            ++loads;
            while (held && ec_job_cancelled(job) == 0) std::this_thread::yield();
            if (ec_job_cancelled(job) != 0) return EC_CANCELLED;
            return LyingCodec::truthful->load(context, job, graph, options, loaded, problem);
        },
        nullptr);
    RunningJob first(slow.get(), data);
    while (loads == 0) std::this_thread::yield();
    RunningJob second(slow.get(), data), third(slow.get(), data);
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    ec_job_cancel(second.get());
    expect(second.wait() == EC_CANCELLED && loads == 1, "a job that is cancelled does not wait for another's load");
    ec_job_cancel(first.get());
    expect(first.wait() == EC_CANCELLED, "a job that is cancelled while it loads");
    held = false;
    expect(third.wait() == EC_OK && pixels_of(third.get()) == expected && loads == 2, "who needs the graph loads it");

    const Job stepped(codec, data), run(codec, data), late(codec, data);
    ec_job_cancel(stepped.get());
    ec_job_cancel(run.get());
    ec_step step = EC_INIT(ec_step);
    expect(ec_job_next(stepped.get(), &step, nullptr) == EC_CANCELLED, "no step of a job that was cancelled");
    expect(ec_job_run(run.get(), nullptr) == EC_CANCELLED, "no run of a job that was cancelled");
    run_steps(engine, late.get());
    ec_job_cancel(late.get());
    expect(pixels_of(late.get()) == expected, "a job that has finished keeps its picture");
    uint32_t done = 7, count = 7;
    ec_job_progress(late.get(), &done, &count);
    expect(done == 1 && count == 1, "how far a job is that has finished");
    ec_job_progress(stepped.get(), &done, &count);
    expect(done == 0 && count == 0, "how far a job is that has not begun");
    ec_job_progress(late.get(), nullptr, &count);
    expect(count == 1, "either may be asked for alone");
    ec_job_progress(nullptr, &done, nullptr);
    expect(done == 0, "no job is nowhere");
    const Job of_codec(codec, data);
    ec_codec_cancel(codec.get());
    expect(ec_job_cancelled(of_codec.get()) == 1, "a codec's cancellation is that of its jobs");
    expect(ec_job_cancelled(Job(codec, data).get()) == 0, "but for those that begin later");
    ec_job_cancel(nullptr);
    expect(ec_job_cancelled(nullptr) == 0, "no job is not cancelled");
}

}  // namespace

int main(int count, char **arguments) {
    if (count < 2) return 2;
    const auto wanted = [&](const char *name) {
        bool named = count == 2;
        for (int i = 2; i < count; ++i) named |= std::strcmp(arguments[i], name) == 0;
        return named;
    };
    try {
        const Bundle bundle(arguments[1]);
        if (wanted("order")) order(bundle);
        if (wanted("failures")) failures(bundle);
        if (wanted("images")) images(bundle);
        if (wanted("strides")) strides(bundle);
        if (wanted("sections")) sections(bundle);
        if (wanted("structs")) structs(bundle);
        if (wanted("liars")) liars(bundle);
        if (wanted("waiting")) waiting(bundle);
        if (wanted("one_of_several")) one_of_several(bundle);
    } catch (const std::exception &exception) {
        expect(false, exception.what());
    }
    if (failed == 0) std::printf("all checks hold\n");
    return failed == 0 ? 0 : 1;
}
