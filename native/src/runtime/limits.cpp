#include "runtime/limits.h"

#include <algorithm>
#include <string>

#include "support/status.h"

namespace edgecodec {

namespace {

constexpr uint64_t kMaxSide = 65535;  // that the format can hold (docs/format.md, section 1)

uint64_t or_default(uint64_t value, uint64_t otherwise) { return value != 0 ? value : otherwise; }

std::string size_words(uint64_t width, uint64_t height) { return std::to_string(width) + "x" + std::to_string(height); }

uint64_t pixels_of(uint64_t width, uint64_t height) {
    return height != 0 && width > UINT64_MAX / height ? UINT64_MAX : width * height;
}

}  // namespace

ec_limits with_defaults(const ec_limits &limits) {
    ec_limits chosen = limits;
    chosen.max_pixels = or_default(limits.max_pixels, uint64_t{1} << 28);
    chosen.max_side = or_default(limits.max_side, kMaxSide);
    chosen.max_file_bytes = or_default(limits.max_file_bytes, uint64_t{1} << 30);
    chosen.max_pixels_per_byte = or_default(limits.max_pixels_per_byte, uint64_t{1} << 18);
    return chosen;
}

void check_picture_size(const ec_limits &limits, uint64_t width, uint64_t height) {
    const uint64_t side = std::min(limits.max_side, kMaxSide);
    if (std::max(width, height) > side) {
        throw Failure(EC_LIMIT, size_words(width, height) + " is longer than the limit of " + std::to_string(side) +
                                    " pixels a side");
    }
    if (width * height > limits.max_pixels) {
        throw Failure(EC_LIMIT, size_words(width, height) + " is more than the limit of " +
                                    std::to_string(limits.max_pixels) + " pixels")
            .advising("raise max_pixels if the picture is meant to be this large");
    }
}

void check_pixels_per_byte(const ec_limits &limits, uint64_t width, uint64_t height, uint64_t file_bytes) {
    const uint64_t pixels = pixels_of(width, height);
    // The same as pixels <= max_pixels_per_byte * file_bytes, whose product may not fit.
    if (pixels == 0 || (file_bytes != 0 && (pixels - 1) / file_bytes < limits.max_pixels_per_byte)) return;
    throw Failure(EC_LIMIT, size_words(width, height) + " pixels in " + std::to_string(file_bytes) +
                                " bytes are more than " + std::to_string(limits.max_pixels_per_byte) + " pixels a byte")
        .advising("raise max_pixels_per_byte if the file is trusted");
}

void check_file_bytes(const ec_limits &limits, uint64_t file_bytes) {
    if (file_bytes > limits.max_file_bytes) {
        throw Failure(EC_LIMIT,
                      "the file is larger than the limit of " + std::to_string(limits.max_file_bytes) + " bytes");
    }
}

}  // namespace edgecodec
