#include "model/latent_digest.h"

namespace edgecodec {

void LatentDigest::add(const int16_t *values, size_t count) {
    constexpr size_t kLanes = 64;
    uint32_t sum[kLanes] = {}, sum_of_sums[kLanes] = {};
    const auto accumulate = [&](const int16_t *row, size_t lanes) {
        for (size_t i = 0; i < lanes; ++i) {
            sum[i] += static_cast<uint16_t>(row[i]) + 1u;
            sum_of_sums[i] += sum[i];
        }
    };
    size_t k = 0;
    for (; k + kLanes <= count; k += kLanes) accumulate(values + k, kLanes);
    accumulate(values + k, count - k);

    for (size_t i = 0; i < kLanes; ++i) {
        digest_ = (digest_ ^ sum[i]) * 0x9E3779B1u;
        digest_ ^= digest_ >> 15;
        digest_ = (digest_ ^ sum_of_sums[i]) * 0x85EBCA77u;
        digest_ ^= digest_ >> 13;
    }
}

}  // namespace edgecodec
