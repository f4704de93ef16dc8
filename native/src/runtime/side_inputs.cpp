#include "runtime/side_inputs.h"

#include <algorithm>
#include <string>

#include "support/status.h"

namespace edgecodec {

namespace {

// The encoder latent that comes from there, or NULL.
const ec_latent *find_latent(const ec_model &model, ec_source source) {
    for (size_t i = 0; i < model.encoder_latent_count; ++i) {
        if (model.encoder_latents[i]->source == source) return model.encoder_latents[i];
    }
    return nullptr;
}

const uint8_t *row_of(const SidePlane &plane, uint32_t width, uint32_t y) {
    return plane.data + y * (plane.row_stride != 0 ? plane.row_stride : width);
}

uint8_t largest(const SidePlane &plane, uint32_t width, uint32_t height) {
    uint8_t found = 0;
    for (uint32_t y = 0; y < height; ++y) {
        const uint8_t *row = row_of(plane, width, y);
        for (uint32_t x = 0; x < width; ++x) found = std::max(found, row[x]);
    }
    return found;
}

}  // namespace

void check_side_inputs(const ec_model &model, uint32_t width, uint32_t height, SidePlane labels, SidePlane mask) {
    const ec_latent *label_latent = find_latent(model, EC_LABELS);
    if (labels.data != nullptr && label_latent == nullptr) {
        throw Failure(EC_KNOB_UNAVAILABLE, "the bundle takes no label map").at("labels");
    }
    if (mask.data != nullptr && find_latent(model, EC_MASK) == nullptr) {
        throw Failure(EC_KNOB_UNAVAILABLE, "the bundle takes no mask: it keeps everything").at("keep");
    }
    if (label_latent == nullptr) return;
    if (labels.data == nullptr) {
        throw Failure(EC_INVALID_ARGUMENT, "the bundle needs the class of every pixel").advising("give labels");
    }
    const uint8_t highest = largest(labels, width, height);
    if (highest >= label_latent->class_count) {
        throw Failure(EC_INVALID_ARGUMENT, "there is a label " + std::to_string(highest))
            .at("labels")
            .advising("the classes are 0 to " + std::to_string(label_latent->class_count - 1));
    }
}

std::vector<int16_t> label_latent(const SidePlane &labels, uint32_t width, uint32_t height, uint32_t rows,
                                  uint32_t columns) {
    std::vector<int16_t> latent(size_t{rows} * columns);
    for (uint32_t y = 0; y < rows; ++y) {
        int16_t *row = latent.data() + size_t{y} * columns;
        if (y >= height) {
            std::copy(row - columns, row, row);
            continue;
        }
        const uint8_t *given = row_of(labels, width, y);
        std::copy(given, given + width, row);
        std::fill(row + width, row + columns, given[width - 1]);
    }
    return latent;
}

std::vector<int16_t> mask_latent(const SidePlane &mask, uint32_t width, uint32_t height, uint32_t rows,
                                 uint32_t columns, uint32_t stride) {
    if (mask.data == nullptr) return std::vector<int16_t>(size_t{rows} * columns, 1);
    std::vector<int16_t> latent(size_t{rows} * columns);
    for (uint32_t y = 0; y < height; ++y) {
        const uint8_t *kept = row_of(mask, width, y);
        int16_t *cells = latent.data() + size_t{y / stride} * columns;
        for (uint32_t x = 0; x < width; ++cells) {
            const uint32_t end = std::min(width - x, stride) + x;
            for (; x < end; ++x) *cells |= kept[x] != 0;
        }
    }
    return latent;
}

}  // namespace edgecodec
