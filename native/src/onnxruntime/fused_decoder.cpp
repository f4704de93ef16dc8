#include "onnxruntime/fused_decoder.h"

#include <string>

#include "container/container.h"
#include "runtime/decode_job.h"
#include "runtime/knobs.h"
#include "runtime/limits.h"
#include "runtime/noise.h"
#include "runtime/padding.h"
#include "support/number_text.h"
#include "support/processors.h"

namespace edgecodec {
namespace {

void check_range(const char *name, int64_t value, int64_t least, int64_t most) {
    if (value >= least && value <= most) return;
    throw Failure(EC_INVALID_ARGUMENT,
                  "is " + std::to_string(value) + ", not " + std::to_string(least) + " to " + std::to_string(most))
        .at(name);
}

void check_quality(const ec_file_info &file, int64_t baked) {
    if (baked < 0) return;
    if (!file.has_quality) {
        throw Failure(EC_KNOB_UNAVAILABLE, "the file does not say of which quality it is").advising("encode it again");
    }
    const double quality = static_cast<double>(baked) / kQualitySteps;
    if (file.quality != quality) {
        throw Failure(EC_KNOB_UNAVAILABLE, "the file is of quality " + decimal(file.quality) +
                                               ", this graph was baked at " + decimal(quality));
    }
}

}  // namespace

FusedDecoder::FusedDecoder(const uint8_t *model, size_t size, const FusedSettings &settings)
    : model_(model, size), settings_(settings) {
    check_range("quality", settings.quality, -1, UINT32_MAX);
    check_range("max_pixels", settings.max_pixels, 1, INT64_MAX);
    check_range("noise_channels", settings.noise_channels, 0, UINT16_MAX);
    if (settings.noise_channels == 0) return;
    check_range("noise_stride", settings.noise_stride, 1, model_.alignment());
    if (model_.alignment() % settings.noise_stride != 0) {
        throw Failure(EC_INVALID_ARGUMENT,
                      "does not divide the model's alignment of " + std::to_string(model_.alignment()))
            .at("noise_stride");
    }
    located("noise_channels", [&] {
        check_noise(static_cast<uint32_t>(settings.noise_channels), static_cast<uint32_t>(settings.noise_stride));
    });
}

FusedInput FusedDecoder::noise(const ec_file_info &file) const {
    const auto channels = static_cast<size_t>(settings_.noise_channels);
    const auto stride = static_cast<uint32_t>(settings_.noise_stride);
    const size_t rows = aligned(file.height, model_.alignment()) / stride;
    const size_t columns = aligned(file.width, model_.alignment()) / stride;
    return {channels, rows, columns, normal_noise(file.noise_seed, channels * rows * columns)};
}

FusedPicture FusedDecoder::decode(const uint8_t *data, size_t size) const {
    ec_limits asked{};
    asked.max_pixels = static_cast<uint64_t>(settings_.max_pixels);
    const ec_limits limits = with_defaults(asked);
    check_file_bytes(limits, size);
    const ec_file_info file = file_info(data, size);
    check_picture_size(limits, file.width, file.height);
    check_pixels_per_byte(limits, file.width, file.height, size);
    if (file.model_id != model_.id()) {
        throw Failure(EC_MODEL_MISMATCH, "was coded with model " + hexadecimal(file.model_id) + ", this graph is of " +
                                             hexadecimal(model_.id()))
            .advising("decode it with a graph of the bundle that encoded it");
    }
    check_quality(file, settings_.quality);

    FusedPicture picture{file.width, file.height, file.greyscale != 0, {}};
    std::vector<int16_t *> latents;
    for (const size_t tensor : model_.decoder_latents()) {
        const Extent extent = model_.extent(tensor, file.width, file.height);
        picture.inputs.push_back({extent.channels, extent.rows, extent.columns, std::vector<int16_t>(extent.values())});
        latents.push_back(picture.inputs.back().values.data());
    }
    model_.decode(file.width, file.height, file.lanes, data + file.payload_offset,
                  static_cast<size_t>(file.payload_bytes), latents.data(), usable_processors());
    if (settings_.noise_channels > 0) picture.inputs.push_back(noise(file));
    return picture;
}

}  // namespace edgecodec
