// What the operator of fused graphs does: from a coded picture to everything that the networks behind it take.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "edgecodec/edgecodec.h"
#include "model/entropy_model.h"

namespace edgecodec {

// What a fused graph says about itself beside its entropy model. quality: that its networks were baked at, in 1/64, or
// less than 0 where they have none. noise_channels: planes of noise, one value every noise_stride pixels; 0: none.
// max_pixels: of a picture, width times height.
struct FusedSettings {
    int64_t quality = -1;
    int64_t noise_channels = 0, noise_stride = 0;
    int64_t max_pixels = int64_t{1} << 26;
};

// Values (channels, rows, columns).
struct FusedInput {
    size_t channels, rows, columns;
    std::vector<int16_t> values;
};

struct FusedPicture {
    uint32_t width, height;  // pixels
    bool greyscale;
    std::vector<FusedInput> inputs;  // the decoder latents in the model's order, then the noise where there is any
};

// Several threads may use one at a time.
class FusedDecoder {
public:
    // Throws Failure(EC_BAD_MODEL), or EC_INVALID_ARGUMENT for settings out of their range.
    FusedDecoder(const uint8_t *model, size_t size, const FusedSettings &settings);

    // Throws what ec_decode would report before it calls an engine.
    FusedPicture decode(const uint8_t *file, size_t size) const;
    size_t input_count() const { return model_.decoder_latents().size() + (settings_.noise_channels > 0 ? 1 : 0); }

private:
    FusedInput noise(const ec_file_info &file) const;

    const EntropyModel model_;
    const FusedSettings settings_;
};

}  // namespace edgecodec
