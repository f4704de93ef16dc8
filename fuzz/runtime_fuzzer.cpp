// Arbitrary bytes as coded pictures of a real bundle, with the CRC-32 corrected, through the whole decode with an engine
// that reads no graph. The first bytes of an input choose tiles, channels, whose memory the pixels are in, and a knob.
// Each picture is refused with a status, or gives the same pixels in parts as it does whole; what it says about itself
// before agrees with what comes out.
#include <cstdint>
#include <cstring>
#include <vector>

#include "edgecodec/edgecodec.h"
#include "fuzzing.h"
#include "stub_engine.h"

namespace {

// Larger pictures only take longer.
constexpr uint64_t kMaxPixels = 1 << 16;
constexpr size_t kChoices = 4;  // bytes

ec_codec *open_codec(const ec_bundle *bundle, const StubEngine &engine, uint32_t tile) {
    ec_codec_options options = EC_INIT(ec_codec_options);
    options.engine_table = engine.table();
    options.threads = 1;
    options.tile = tile;
    options.limits.max_pixels = kMaxPixels;
    ec_codec *codec = nullptr;
    require(ec_codec_open(bundle, &options, &codec, nullptr) == EC_OK);
    return codec;
}

struct Runtime {
    StubEngine engine;
    ec_bundle *bundle = nullptr;
    ec_codec *whole = nullptr, *in_tiles = nullptr;

    Runtime() {
        require(ec_bundle_open(EDGECODEC_BUNDLE, &bundle, nullptr) == EC_OK);
        whole = open_codec(bundle, engine, EC_TILE_OFF);
        in_tiles = open_codec(bundle, engine, 64);
    }
};

// The pixels, without what lies between rows; the status otherwise.
ec_status decode(ec_codec *codec, const std::vector<uint8_t> &file, const ec_decode_options &options, size_t gap,
                 const ec_file_info &info, std::vector<uint8_t> &pixels) {
    const uint32_t channels = options.channels != 0 ? options.channels : info.greyscale != 0 ? 1 : 3;
    const size_t row = size_t{info.width} * channels;
    ec_picture picture = EC_INIT(ec_picture);
    std::vector<uint8_t> own;
    if (gap > 0) {
        own.resize((row + gap) * (info.height - 1) + row);
        picture.pixels = own.data();
        picture.capacity = own.size();
        picture.row_stride = row + gap;
    }
    ec_error error = EC_INIT(ec_error);
    const ec_status status = checked(ec_decode(codec, file.data(), file.size(), &options, &picture, &error));
    if (status != EC_OK) {
        require(error.status == status && error.message[0] != 0);
        return status;
    }
    require(picture.width == info.width && picture.height == info.height && picture.channels == channels);
    require(picture.section_count == info.section_count);
    pixels.clear();
    for (uint32_t y = 0; y < picture.height; ++y) {
        const uint8_t *start = picture.pixels + y * picture.row_stride;
        pixels.insert(pixels.end(), start, start + row);
    }
    if (own.empty()) ec_free(picture.pixels);
    return EC_OK;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static Runtime runtime;
    if (size < kChoices) return 0;
    std::vector<uint8_t> file(data + kChoices, data + size);
    seal(file);
    ec_file_info info = EC_INIT(ec_file_info);
    const bool readable = checked(ec_peek(file.data(), file.size(), &info, nullptr)) == EC_OK;
    if (readable && uint64_t{info.width} * info.height > kMaxPixels) return 0;

    ec_decode_options options = EC_INIT(ec_decode_options);
    const ec_knob_value alpha = {"alpha", data[1] / 2.0};
    options.knobs = &alpha;
    options.knob_count = data[1] < 3 ? 1 : 0;
    options.channels = data[0] & 1 ? 3 : 0;
    std::vector<uint8_t> whole, in_tiles;
    const ec_status status = decode(runtime.whole, file, options, 0, info, whole);
    require(status != EC_OK || readable);
    require(decode(runtime.in_tiles, file, options, readable ? data[2] : 0, info, in_tiles) == status);
    require(whole == in_tiles);
    return 0;
}
