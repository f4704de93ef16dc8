// The runtime behind edgecodec.h on a real bundle with an engine that reads no graph: memory, threads, cancelling,
// engines that take some sizes only, and what happens when any allocation fails.
//
//     runtime BUNDLE [memory|threads|cancel|shapes|allocations|growth]...
//
// Without names all of them. The exit status is 1 if a check fails; the output then names it.
#include <stddef.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <functional>
#include <iterator>
#include <new>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "edgecodec/edgecodec.h"
#include "runtime_checks.h"
#include "stub_engine.h"

// Every allocation of C++ is counted, and one may be told to fail: the one after `allow` others.
namespace {
std::atomic<int64_t> live_allocations{0};
std::atomic<int64_t> allow{-1};

void *allocate(size_t size, size_t alignment) {
    if (allow >= 0 && allow-- == 0) throw std::bad_alloc();
    void *memory = alignment > alignof(max_align_t)
                       ? std::aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment)
                       : std::malloc(size != 0 ? size : 1);
    if (memory == nullptr) throw std::bad_alloc();
    ++live_allocations;
    return memory;
}

void release(void *memory) noexcept {
    if (memory == nullptr) return;
    --live_allocations;
    std::free(memory);
}
}  // namespace

void *operator new(size_t size) { return allocate(size, 0); }
void *operator new(size_t size, std::align_val_t alignment) { return allocate(size, static_cast<size_t>(alignment)); }
void operator delete(void *memory) noexcept { release(memory); }
void operator delete(void *memory, size_t) noexcept { release(memory); }
void operator delete(void *memory, std::align_val_t) noexcept { release(memory); }
void operator delete(void *memory, size_t, std::align_val_t) noexcept { release(memory); }

namespace {

// Whose memory the pixels are in changes nothing else, and what fails leaves none behind.
void memory(const Bundle &bundle) {
    StubEngine engine;
    const Codec codec(bundle, engine);
    for (const uint32_t channels : {1u, 3u}) {
        const std::vector<uint8_t> data = encoded(codec.get(), 150, 70, channels);
        const std::vector<uint8_t> expected = decoded(codec.get(), data);
        ec_error error = EC_INIT(ec_error);
        const size_t row = size_t{150} * channels, stride = row + 13;
        std::vector<uint8_t> own(stride * 70, 0xAA);
        ec_picture out = EC_INIT(ec_picture);
        out.pixels = own.data();
        out.row_stride = stride;
        out.capacity = stride * 69 + row;
        must(ec_decode(codec.get(), data.data(), data.size(), nullptr, &out, &error), error);
        bool same = out.pixels == own.data(), untouched = true;
        for (size_t y = 0; y < 70; ++y) {
            same &= std::memcmp(own.data() + y * stride, expected.data() + y * row, row) == 0;
            for (size_t x = row; x < stride; ++x) untouched &= own[y * stride + x] == 0xAA;
        }
        expect(same, "pixels in the caller's memory");
        expect(untouched, "nothing between the caller's rows");
        out.capacity -= 1;
        expect(ec_decode(codec.get(), data.data(), data.size(), nullptr, &out, &error) == EC_INVALID_ARGUMENT,
               "too little memory is refused");
        out.row_stride = row - 1;
        out.capacity = own.size();
        expect(ec_decode(codec.get(), data.data(), data.size(), nullptr, &out, &error) == EC_INVALID_ARGUMENT &&
                   std::string(error.message) == "rows of the picture overlap",
               "rows that overlap are refused");

        ec_picture again = EC_INIT(ec_picture);
        must(ec_decode(codec.get(), data.data(), data.size(), nullptr, &again, &error), error);
        uint8_t *first = again.pixels;
        std::memset(first, 0, again.capacity);
        must(ec_decode(codec.get(), data.data(), data.size(), nullptr, &again, &error), error);
        expect(again.pixels == first && std::memcmp(first, expected.data(), expected.size()) == 0,
               "a picture that is given again takes the next in the same memory");
        ec_free(first);

        // A job that has made its own memory copies into the caller's, where there is some at the end.
        ec_job *job = nullptr;
        must(ec_job_decode(codec.get(), data.data(), data.size(), nullptr, &job, &error), error);
        must(ec_job_run(job, &error), error);
        out = EC_INIT(ec_picture);
        out.pixels = own.data();
        out.row_stride = stride;
        out.capacity = own.size();
        std::fill(own.begin(), own.end(), uint8_t{0xAA});
        must(ec_job_finish_decode(job, &out, &error), error);
        ec_job_close(job);
        same = true;
        for (size_t y = 0; y < 70; ++y)
            same &= std::memcmp(own.data() + y * stride, expected.data() + y * row, row) == 0;
        expect(same, "pixels of a finished job in the caller's memory");

        ec_decode_options three = EC_INIT(ec_decode_options);
        three.channels = 3;
        out = EC_INIT(ec_picture);
        must(ec_decode(codec.get(), data.data(), data.size(), &three, &out, &error), error);
        bool spread = out.channels == 3 && out.row_stride == 450;
        for (size_t i = 0; spread && i < size_t{150} * 70 * 3; ++i) {
            spread &= out.pixels[i] == expected[channels == 3 ? i : i / 3];
        }
        expect(spread, "three channels on demand, equal where the picture is grey");
        ec_free(out.pixels);
        three.channels = 2;
        expect(ec_decode(codec.get(), data.data(), data.size(), &three, &out, &error) == EC_INVALID_ARGUMENT,
               "two channels are refused");

        ec_file file = EC_INIT(ec_file);
        const std::vector<uint8_t> pixels = picture(150, 70, channels);
        std::vector<uint8_t> small(5);
        file.data = small.data();
        file.capacity = small.size();
        ec_image image = EC_INIT(ec_image);
        image.pixels = pixels.data();
        image.width = 150;
        image.height = 70;
        image.channels = channels;
        expect(
            ec_encode(codec.get(), &image, nullptr, &file, &error) == EC_INVALID_ARGUMENT && file.size == data.size(),
            "a file that does not fit says its size");
        std::vector<uint8_t> exact(file.size);
        file.data = exact.data();
        file.capacity = exact.size();
        must(ec_encode(codec.get(), &image, nullptr, &file, &error), error);
        expect(exact == data, "a file in the caller's memory");
    }

    // The caller's allocator: as much is released as was allocated, also where the engine fails.
    struct Counter {
        int live = 0, calls = 0;
    } counter;
    ec_codec_options options = EC_INIT(ec_codec_options);
    options.allocator.context = &counter;
    options.allocator.allocate = [](void *context, size_t bytes) {
        ++static_cast<Counter *>(context)->live;
        ++static_cast<Counter *>(context)->calls;
        return std::malloc(bytes);
    };
    options.allocator.release = [](void *context, void *pixels) {
        --static_cast<Counter *>(context)->live;
        std::free(pixels);
    };
    ec_codec_options half = options;
    half.allocator.release = nullptr;
    half.engine_table = engine.table();
    ec_codec *none = nullptr;
    expect(ec_codec_open(bundle.get(), &half, &none, nullptr) == EC_INVALID_ARGUMENT && none == nullptr,
           "an allocator with one function of two is refused");
    const Codec counted(bundle, engine, options);
    const std::vector<uint8_t> data = encoded(codec.get(), 150, 70, 3);
    ec_error error = EC_INIT(ec_error);
    ec_picture out = EC_INIT(ec_picture);
    must(ec_decode(counted.get(), data.data(), data.size(), nullptr, &out, &error), error);
    expect(counter.live == 1 && counter.calls == 1, "one allocation for the pixels");
    options.allocator.release(&counter, out.pixels);
    engine.run_status = EC_ENGINE_FAILED;
    out = EC_INIT(ec_picture);
    expect(ec_decode(counted.get(), data.data(), data.size(), nullptr, &out, &error) == EC_ENGINE_FAILED &&
               std::strcmp(error.message, "the stub was told to fail") == 0,
           "the engine's message arrives");
    expect(counter.live == 0 && out.pixels == nullptr, "a failing decode releases its pixels");
    engine.run_status = 12345;
    expect(ec_decode(counted.get(), data.data(), data.size(), nullptr, &out, &error) == EC_ENGINE_FAILED,
           "an unknown status of an engine");
}

// One codec, many threads: the same results as one after the other, and an engine that wants to be alone is.
void threads(const Bundle &bundle) {
    for (const uint32_t serial : {0u, 1u}) {
        StubEngine engine;
        engine.serial = serial;
        const Codec codec(bundle, engine);
        std::vector<std::vector<uint8_t>> files, pictures;
        for (uint32_t i = 0; i < 4; ++i) {
            files.push_back(encoded(codec.get(), 64 + 31 * i, 64 + 17 * i, i % 2 == 0 ? 3 : 1));
            pictures.push_back(decoded(codec.get(), files.back()));
        }
        engine.most_running = 0;
        std::atomic<int> wrong{0};
        std::vector<std::thread> workers;
        for (uint32_t worker = 0; worker < 16; ++worker) {
            workers.emplace_back([&, worker] {
                for (uint32_t round = 0; round < 20; ++round) {
                    const uint32_t i = (worker + round) % 4;
                    if (decoded(codec.get(), files[i]) != pictures[i]) ++wrong;
                    if (round % 5 == 0 &&
                        encoded(codec.get(), 64 + 31 * i, 64 + 17 * i, i % 2 == 0 ? 3 : 1) != files[i]) {
                        ++wrong;
                    }
                }
            });
        }
        for (std::thread &worker : workers) worker.join();
        expect(wrong == 0, "the same results on 16 threads");
        if (serial != 0) expect(engine.most_running <= 2, "one run at a time of each graph");
    }
}

void cancel(const Bundle &bundle) {
    StubEngine engine;
    const Codec codec(bundle, engine);
    const std::vector<uint8_t> data = encoded(codec.get(), 100, 100, 3);
    const std::vector<uint8_t> expected = decoded(codec.get(), data);
    engine.waits = true;
    ec_status status = EC_OK;
    ec_error error = EC_INIT(ec_error);
    ec_picture out = EC_INIT(ec_picture);
    std::thread worker([&] { status = ec_decode(codec.get(), data.data(), data.size(), nullptr, &out, &error); });
    while (engine.running == 0) std::this_thread::yield();
    ec_codec_cancel(codec.get());
    worker.join();
    engine.waits = false;
    expect(status == EC_CANCELLED && out.pixels == nullptr, "a cancelled decode says so and leaves nothing");
    expect(decoded(codec.get(), data) == expected, "later calls work as before");
}

// Whether values (1, channels, rows, columns) beyond so many rows and columns are those of the last ones before.
bool repeats_edges(const ec_tensor &tensor, int64_t rows, int64_t columns) {
    const float *values = static_cast<const float *>(tensor.data);
    bool same = tensor.shape[2] > rows && tensor.shape[3] > columns;
    for (int64_t y = 0; y < tensor.shape[1] * tensor.shape[2]; ++y) {
        const int64_t channel = y / tensor.shape[2], row = std::min(y % tensor.shape[2], rows - 1);
        for (int64_t x = 0; x < tensor.shape[3]; ++x) {
            const float *edge = values + (channel * tensor.shape[2] + row) * tensor.shape[3];
            same &= values[y * tensor.shape[3] + x] == edge[std::min(x, columns - 1)];
        }
    }
    return same;
}

// An engine that takes pictures of one size only gives what others give. A window that is larger than the picture holds
// beyond it what is at its edges.
void shapes(const Bundle &bundle) {
    StubEngine any, one;
    one.shapes = {{ec_side_range{640, 640, 0}, ec_side_range{704, 704, 0}}};
    const Codec codec(bundle, any), of_one(bundle, one);
    const std::vector<uint8_t> large = encoded(codec.get(), 1000, 900, 3), small = encoded(codec.get(), 100, 90, 3);
    expect(encoded(of_one.get(), 1000, 900, 3) == large, "a picture that is larger than the engine takes, to encode");
    expect(decoded(of_one.get(), large) == decoded(codec.get(), large), "the same, to decode");
    expect(encoded(of_one.get(), 100, 90, 3) == small, "a picture that is smaller than the engine takes, to encode");
    bool repeats = true;
    one.watch = [&](const ec_graph &graph, const ec_tensor *inputs) {
        for (size_t i = 0; i < graph.input_count; ++i) {
            const int64_t side = 128 / graph.inputs[i]->stride;  // of a picture of whole units of 64 pixels
            repeats &= repeats_edges(inputs[i], side, side);
        }
    };
    expect(decoded(of_one.get(), small) == decoded(codec.get(), small), "the same, to decode");
    expect(repeats, "what lies beyond a picture");
}

// Each allocation fails once: a typed error, nothing is left behind, and the next call works.
void allocations(const char *path) {
    StubEngine engine;
    std::vector<uint8_t> data, expected;
    {
        const Bundle bundle(path);
        const Codec codec(bundle, engine);
        data = encoded(codec.get(), 90, 90, 3);
        expected = decoded(codec.get(), data);
    }
    const std::vector<uint8_t> pixels = picture(90, 90, 3);
    int64_t sites = 0;
    for (bool complete = false; !complete; ++sites) {
        const int64_t before = live_allocations;
        ec_bundle *bundle = nullptr;
        ec_codec *codec = nullptr;
        ec_picture out = EC_INIT(ec_picture);
        ec_file file = EC_INIT(ec_file);
        ec_error error = EC_INIT(ec_error);
        ec_codec_options options = EC_INIT(ec_codec_options);
        options.engine_table = engine.table();
        options.threads = 1;
        ec_image image = EC_INIT(ec_image);
        image.pixels = pixels.data();
        image.width = image.height = 90;
        image.channels = 3;
        allow = sites;
        ec_status status = ec_bundle_open(path, &bundle, &error);
        if (status == EC_OK) status = ec_codec_open(bundle, &options, &codec, &error);
        if (status == EC_OK) status = ec_decode(codec, data.data(), data.size(), nullptr, &out, &error);
        if (status == EC_OK) status = ec_encode(codec, &image, nullptr, &file, &error);
        complete = allow >= 0;
        allow = -1;
        if (status != EC_OK && status != EC_NO_MEMORY) {
            expect(false,
                   "allocation " + std::to_string(sites) + ": status " + std::to_string(status) + ", " + error.message);
        }
        if (complete) {
            expect(status == EC_OK && std::vector<uint8_t>(file.data, file.data + file.size) == data &&
                       std::vector<uint8_t>(out.pixels, out.pixels + expected.size()) == expected,
                   "the result after all failures");
        }
        ec_free(out.pixels);
        ec_free(file.data);
        ec_codec_close(codec);
        ec_bundle_close(bundle);
        const bool nothing_left = live_allocations == before;
        expect(nothing_left, "allocation " + std::to_string(sites) + " leaves memory behind");
        if (failed > 5) return;
    }
    expect(engine.loaded == 0, "all graphs are unloaded");
    std::printf("%lld allocations failed one by one\n", static_cast<long long>(sites - 1));
}

size_t resident_pages() {
    std::ifstream file("/proc/self/statm");
    size_t whole = 0, resident = 0;
    file >> whole >> resident;
    return resident;
}

void growth(const Bundle &bundle) {
    StubEngine engine;
    const Codec codec(bundle, engine);
    const std::vector<uint8_t> good = encoded(codec.get(), 40, 40, 3);
    std::vector<uint8_t> bad = good;
    bad[bad.size() / 2] ^= 1;
    size_t early = 0;
    for (int i = 0; i < 10000; ++i) {
        if (i == 500) early = resident_pages();
        decoded(codec.get(), good);
        ec_picture out = EC_INIT(ec_picture);
        if (ec_decode(codec.get(), bad.data(), bad.size(), nullptr, &out, nullptr) == EC_OK) {
            expect(false, "a damaged file is refused");
        }
    }
    const size_t late = resident_pages();
    expect(late <= early + 64, "no growth: " + std::to_string(early) + " pages, then " + std::to_string(late));
}

}  // namespace

int main(int count, char **arguments) {
    if (count < 2) return 2;
    const char *path = arguments[1];
    const auto wanted = [&](const char *name) {
        bool named = count == 2;
        for (int i = 2; i < count; ++i) named |= std::strcmp(arguments[i], name) == 0;
        return named;
    };
    try {
        if (wanted("allocations")) allocations(path);
        const Bundle bundle(path);
        if (wanted("memory")) memory(bundle);
        if (wanted("threads")) threads(bundle);
        if (wanted("cancel")) cancel(bundle);
        if (wanted("shapes")) shapes(bundle);
        if (wanted("growth")) growth(bundle);
    } catch (const std::exception &exception) {
        expect(false, exception.what());
    }
    if (failed == 0) std::printf("all checks hold\n");
    return failed == 0 ? 0 : 1;
}
