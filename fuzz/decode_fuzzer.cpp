// Arbitrary bytes as coded pictures, with the CRC-32 corrected, as an attacker would. Each is refused with a status, or
// decodes to the same latents with every set of kernels; those latents, encoded again, decode to themselves.
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <vector>

#include "fuzzing.h"

namespace {

using Bytes = std::vector<uint8_t>;

// Larger pictures only take longer.
constexpr uint32_t kMaxPixels = 1 << 15;

Bytes read(const std::filesystem::path &path) {
    std::ifstream file(path, std::ios::binary);
    return Bytes(std::istreambuf_iterator<char>(file), {});
}

// The golden entropy models, opened once for every set of kernels.
struct Models {
    std::string kernels;
    std::vector<Model> models;

    // The picture's model; an arbitrary one if there is none.
    const Model &of(uint32_t id) const {
        for (const Model &model : models) {
            if (ec_core_model_id(model.get()) == id) return model;
        }
        return models[id % models.size()];
    }
};

std::vector<std::filesystem::path> model_files() {
    std::vector<std::filesystem::path> files;
    for (const auto &entry : std::filesystem::directory_iterator(EDGECODEC_GOLDEN)) {
        if (entry.path().extension() == ".bin") files.push_back(entry.path());
    }
    // Sorted, so that an input gets the same model wherever the fuzzer runs.
    std::sort(files.begin(), files.end());
    require(!files.empty());
    return files;
}

std::vector<Models> open_models() {
    std::vector<Models> all;
    for (const std::string &kernels : available_kernels()) {
        require(ec_core_kernels_force(kernels.c_str(), nullptr) == EC_OK);
        all.push_back({kernels, {}});
        for (const std::filesystem::path &file : model_files()) {
            const Bytes bytes = read(file);
            all.back().models.emplace_back(bytes.data(), bytes.size());
            require(static_cast<bool>(all.back().models.back()));
        }
    }
    return all;
}

ec_status decode(const Model &model, const ec_core_container &head, uint32_t lanes, const uint8_t *payload, size_t size,
                 Latents &latents) {
    return checked(ec_core_decode(model.get(), head.width, head.height, lanes, payload, size,
                                  latents.addresses().data(), 1, nullptr));
}

// Only for models whose encoder takes the latents that the decoder returns.
void code_again(const Model &model, const ec_core_container &head, Latents &latents) {
    if (Latents(Latents::encoder, model, head.width, head.height).names() != latents.names()) return;
    Bytes payload(ec_core_encode_bound(model.get(), head.width, head.height));
    uint32_t lanes = 0;
    size_t size = 0;
    require(ec_core_encode(model.get(), head.width, head.height, &lanes, latents.addresses().data(), payload.data(),
                           payload.size(), &size, 1, nullptr) == EC_OK);
    Latents decoded(Latents::decoder, model, head.width, head.height);
    require(decode(model, head, lanes, payload.data(), size, decoded) == EC_OK);
    require(decoded.values() == latents.values());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const std::vector<Models> all = open_models();
    Bytes file(data, data + size);
    seal(file);
    ec_core_container head{};
    if (checked(ec_core_container_parse(file.data(), file.size(), &head, nullptr)) != EC_OK) return 0;
    if (uint64_t{head.width} * head.height > kMaxPixels) return 0;

    // A copy of exactly this size, so that the sanitizer sees every read past the end.
    const uint8_t *start = file.data() + head.payload.offset;
    const Bytes payload(start, start + head.payload.size);
    Latents expected(Latents::decoder, all.front().of(head.model_id), head.width, head.height);
    ec_status expected_status = EC_OK;
    for (const Models &models : all) {
        require(ec_core_kernels_force(models.kernels.c_str(), nullptr) == EC_OK);
        const Model &model = models.of(head.model_id);
        Latents latents(Latents::decoder, model, head.width, head.height);
        const ec_status status = decode(model, head, head.lanes, payload.data(), payload.size(), latents);
        if (&models == &all.front()) {
            expected_status = status;
            expected = latents;
        }
        require(status == expected_status);
        if (status != EC_OK) continue;
        require(latents.values() == expected.values());
        code_again(model, head, latents);
    }
    return 0;
}
