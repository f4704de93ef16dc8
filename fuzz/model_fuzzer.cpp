// Arbitrary bytes as entropy.bin. Each is refused with a status, or encodes a picture to the same payload with every
// set of kernels and decodes that payload.
#include <algorithm>
#include <cstdint>
#include <vector>

#include "fuzzing.h"

namespace {

using Bytes = std::vector<uint8_t>;

// Larger ones only take longer: the time of a net grows with the square of this.
constexpr uint32_t kMaxAlignment = 64;
constexpr size_t kMaxValues = 1 << 16;

// Mostly small values, but over the whole range of 16 bits.
int16_t latent(size_t i) {
    const uint32_t mixed = static_cast<uint32_t>(i + 1) * 0x9E3779B1u;
    return static_cast<int16_t>(static_cast<int32_t>(mixed) >> (16 + (mixed & 15)));
}

void check(const Bytes &file, Bytes &expected) {
    const Model model(file.data(), file.size());
    if (!model) return;
    const uint32_t alignment = ec_core_model_alignment(model.get());
    if (alignment > kMaxAlignment) return;
    const uint32_t width = alignment + 1, height = 1;
    Latents latents(Latents::encoder, model, width, height);
    size_t count = 0;
    for (const std::vector<int16_t> &tensor : latents.values()) count += tensor.size();
    if (count > kMaxValues) return;
    for (std::vector<int16_t> &tensor : latents.values()) {
        for (size_t i = 0; i < tensor.size(); ++i) tensor[i] = latent(i);
    }

    Bytes payload(ec_core_encode_bound(model.get(), width, height));
    uint32_t lanes = 64;
    size_t written = 0;
    const ec_status status = ec_core_encode(model.get(), width, height, &lanes, latents.addresses().data(),
                                            payload.data(), payload.size(), &written, 1, nullptr);
    // A table may not carry every value of 16 bits, and a net may need more memory than the limit.
    require(status == EC_OK || status == EC_OUT_OF_RANGE || status == EC_LIMIT);
    if (status != EC_OK) return;
    payload.resize(written);
    if (expected.empty()) expected = payload;
    require(payload == expected);
    // The digest in the payload makes the decoder compare its latents with the encoder's.
    Latents decoded(Latents::decoder, model, width, height);
    require(ec_core_decode(model.get(), width, height, lanes, payload.data(), payload.size(),
                           decoded.addresses().data(), 1, nullptr) == EC_OK);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const std::vector<std::string> all_kernels = available_kernels();
    // A copy of exactly this size, so that the sanitizer sees every read past the end.
    const Bytes file(data, data + size);
    Bytes payload;
    for (const std::string &kernels : all_kernels) {
        require(ec_core_kernels_force(kernels.c_str(), nullptr) == EC_OK);
        check(file, payload);
    }
    return 0;
}
