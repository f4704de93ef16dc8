// What programs that test the runtime through edgecodec.h share: handles that close themselves, pictures, and the count
// of the checks that fail.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

#include "edgecodec/edgecodec.h"
#include "stub_engine.h"

inline int failed = 0;

inline void expect(bool holds, const std::string &what) {
    if (holds) return;
    std::printf("failed: %s\n", what.c_str());
    ++failed;
}

inline void must(ec_status status, const ec_error &error) {
    if (status != EC_OK) throw std::runtime_error(std::string(error.where) + ": " + error.message);
}

class Bundle {
public:
    explicit Bundle(const char *path) {
        ec_error error = EC_INIT(ec_error);
        must(ec_bundle_open(path, &bundle_, &error), error);
    }
    ~Bundle() { ec_bundle_close(bundle_); }
    const ec_bundle *get() const { return bundle_; }

private:
    ec_bundle *bundle_ = nullptr;
};

class Codec {
public:
    Codec(const Bundle &bundle, const StubEngine &engine, ec_codec_options options = EC_INIT(ec_codec_options)) {
        ec_error error = EC_INIT(ec_error);
        options.engine_table = engine.table();
        if (options.threads == 0) options.threads = 1;
        must(ec_codec_open(bundle.get(), &options, &codec_, &error), error);
    }
    ~Codec() { ec_codec_close(codec_); }
    ec_codec *get() const { return codec_; }

private:
    ec_codec *codec_ = nullptr;
};

// Blocks of colours, which the stub codes without loss where they are as large as its own.
inline std::vector<uint8_t> picture(uint32_t width, uint32_t height, uint32_t channels) {
    std::vector<uint8_t> pixels(size_t{width} * height * channels);
    for (uint32_t y = 0; y < height; ++y) {
        for (uint32_t x = 0; x < width; ++x) {
            for (uint32_t c = 0; c < channels; ++c) {
                pixels[(size_t{y} * width + x) * channels + c] =
                    static_cast<uint8_t>(40 + (x / 64 * 37 + y / 64 * 91 + c * 50) % 180);
            }
        }
    }
    return pixels;
}

inline std::vector<uint8_t> encoded(ec_codec *codec, uint32_t width, uint32_t height, uint32_t channels) {
    const std::vector<uint8_t> pixels = picture(width, height, channels);
    ec_image image = EC_INIT(ec_image);
    image.pixels = pixels.data();
    image.width = width;
    image.height = height;
    image.channels = channels;
    ec_file file = EC_INIT(ec_file);
    ec_error error = EC_INIT(ec_error);
    must(ec_encode(codec, &image, nullptr, &file, &error), error);
    std::vector<uint8_t> data(file.data, file.data + file.size);
    ec_free(file.data);
    return data;
}

inline std::vector<uint8_t> decoded(ec_codec *codec, const std::vector<uint8_t> &data) {
    ec_picture out = EC_INIT(ec_picture);
    ec_error error = EC_INIT(ec_error);
    must(ec_decode(codec, data.data(), data.size(), nullptr, &out, &error), error);
    std::vector<uint8_t> pixels(out.pixels, out.pixels + out.row_stride * out.height);
    ec_free(out.pixels);
    return pixels;
}
