// C++17: decodes one file with every decoder of the bundle that a knob chooses, one picture for each value.
//
//     sweep_knob photo.edgc hific.bundle alpha photo     writes photo-0.ppm, photo-0.5.ppm, photo-1.ppm
//
// The C interface needs no wrapper in C++: a smart pointer closes what was opened, and EC_INIT works here too.
#include <cstdio>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <string>

#include "edgecodec/edgecodec.h"
#include "files.h"

namespace {

template <auto close>
struct Closer {
    template <class Handle>
    void operator()(Handle *handle) const {
        close(handle);
    }
};
using Bundle = std::unique_ptr<ec_bundle, Closer<ec_bundle_close>>;
using Codec = std::unique_ptr<ec_codec, Closer<ec_codec_close>>;
using Pixels = std::unique_ptr<uint8_t, Closer<ec_free>>;
using Bytes = std::unique_ptr<uint8_t, Closer<std::free>>;

// Calls a function of the library, which fills in the error that becomes an exception.
template <class Function, class... Arguments>
void call(Function function, Arguments... arguments) {
    ec_error error = EC_INIT(ec_error);
    if (function(arguments..., &error) == EC_OK) return;
    const std::string where = error.where[0] ? std::string(error.where) + ": " : "";
    throw std::runtime_error(where + error.message + (error.hint[0] ? std::string(" (") + error.hint + ")" : ""));
}

const ec_knob &find_decoder_knob(const ec_bundle_info &info, const char *name) {
    for (size_t i = 0; i < info.knob_count; ++i) {
        const ec_knob &knob = *info.knobs[i];
        if (knob.side == EC_DECODE && std::strcmp(knob.name, name) == 0) return knob;
    }
    throw std::runtime_error(std::string("the bundle's decoders have no knob ") + name);
}

void sweep(const char *path, const char *bundle_path, const char *name, const char *stem) {
    size_t size = 0;
    const Bytes file(read_file(path, &size));
    if (!file) throw std::runtime_error("no picture");

    ec_bundle *opened = nullptr;
    call(ec_bundle_open, bundle_path, &opened);
    const Bundle bundle(opened);
    ec_codec *started = nullptr;
    call(ec_codec_open, bundle.get(), nullptr, &started);
    const Codec codec(started);

    ec_bundle_info info = EC_INIT(ec_bundle_info);
    call(ec_bundle_describe, bundle.get(), &info);
    const ec_knob &knob = find_decoder_knob(info, name);
    for (size_t i = 0; i < knob.value_count; ++i) {
        const ec_knob_value chosen = {name, knob.values[i]};
        ec_decode_options options = EC_INIT(ec_decode_options);
        options.knobs = &chosen;
        options.knob_count = 1;
        ec_picture picture = EC_INIT(ec_picture);
        call(ec_decode, codec.get(), file.get(), size, &options, &picture);
        const Pixels pixels(picture.pixels);
        char target[4096];
        std::snprintf(target, sizeof target, "%s-%g.ppm", stem, chosen.value);
        if (write_picture(target, picture.pixels, picture.width, picture.height, picture.channels,
                          picture.row_stride) != 0) {
            throw std::runtime_error("a picture was not written");
        }
    }
}

}  // namespace

int main(int count, char **arguments) {
    if (count != 5) {
        std::fprintf(stderr, "usage: %s IN.edgc BUNDLE KNOB OUT_STEM\n", arguments[0]);
        return 2;
    }
    try {
        sweep(arguments[1], arguments[2], arguments[3], arguments[4]);
        return 0;
    } catch (const std::exception &failure) {
        std::fprintf(stderr, "%s\n", failure.what());
        return 1;
    }
}
