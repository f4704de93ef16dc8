#include "runtime/padding.h"

#include <algorithm>
#include <cstring>
#include <string>

#include "support/status.h"

namespace edgecodec {

namespace {

constexpr uint8_t kGrey = 128;
constexpr size_t kChannels = 3;

// Where a sample beyond the edge of a side comes from.
uint32_t reflected(uint32_t position, uint32_t side) {
    if (side == 1) return 0;
    const uint32_t period = 2 * side - 2;
    const uint32_t phase = position % period;
    return phase < side ? phase : period - phase;
}

void copy_row(const uint8_t *from, uint8_t *to, uint32_t width, uint32_t channels) {
    if (channels == kChannels) {
        std::memcpy(to, from, width * kChannels);
        return;
    }
    for (uint32_t x = 0; x < width; ++x) {
        to[x * kChannels] = to[x * kChannels + 1] = to[x * kChannels + 2] = from[x];
    }
}

// The mean of three channels, rounded: thirds have no halves.
uint8_t mean(const uint8_t *pixel) { return static_cast<uint8_t>((pixel[0] + pixel[1] + pixel[2] + 1) / 3); }

}  // namespace

uint32_t aligned(uint32_t side, uint32_t alignment) { return (side + alignment - 1) / alignment * alignment; }

uint32_t encoder_side(uint32_t side, const ec_model &model) {
    return aligned(std::max(side, model.smallest_side), model.padding_alignment);
}

void check_room(uint32_t width, uint32_t height, const ec_model &model) {
    const uint32_t smallest = aligned(model.smallest_side, model.alignment) - model.alignment + 1;
    if (std::min(width, height) < smallest) {
        throw Failure(EC_OUT_OF_RANGE, std::to_string(width) + "x" + std::to_string(height) +
                                           " is too small for this codec: the smallest picture has " +
                                           std::to_string(smallest) + " pixels a side");
    }
}

std::vector<uint8_t> padded(const ec_image &image, uint32_t rows, uint32_t columns, ec_padding rule) {
    const size_t row_bytes = columns * kChannels;
    const size_t stride = image.row_stride != 0 ? image.row_stride : size_t{image.width} * image.channels;
    std::vector<uint8_t> out(rows * row_bytes);
    for (uint32_t y = 0; y < image.height; ++y) {
        uint8_t *row = out.data() + y * row_bytes;
        copy_row(image.pixels + y * stride, row, image.width, image.channels);
        uint8_t *beyond = row + image.width * kChannels;
        if (rule == EC_GREY) {
            std::memset(beyond, kGrey, row + row_bytes - beyond);
            continue;
        }
        for (uint32_t x = image.width; x < columns; ++x, beyond += kChannels) {
            std::memcpy(beyond, row + reflected(x, image.width) * kChannels, kChannels);
        }
    }
    for (uint32_t y = image.height; y < rows; ++y) {
        uint8_t *row = out.data() + y * row_bytes;
        if (rule == EC_GREY) {
            std::memset(row, kGrey, row_bytes);
        } else {
            std::memcpy(row, out.data() + reflected(y, image.height) * row_bytes, row_bytes);
        }
    }
    return out;
}

void store_pixels(const uint8_t *from, size_t from_row_stride, uint8_t *to, size_t to_row_stride, uint32_t rows,
                  uint32_t columns, uint32_t channels, bool grey) {
    for (uint32_t y = 0; y < rows; ++y, from += from_row_stride, to += to_row_stride) {
        if (channels == 1) {
            for (uint32_t x = 0; x < columns; ++x) to[x] = mean(from + x * kChannels);
        } else if (grey) {
            for (uint32_t x = 0; x < columns; ++x)
                std::memset(to + x * kChannels, mean(from + x * kChannels), kChannels);
        } else {
            std::memcpy(to, from, columns * kChannels);
        }
    }
}

}  // namespace edgecodec
