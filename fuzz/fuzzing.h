// Shared by the fuzzers: checks that stop them, the kernels that they compare, models and latents.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <sstream>
#include <string>
#include <vector>

#include "edgecodec/core.h"

// A broken guarantee of the library is a finding, as a crash is.
inline void require(bool holds) {
    if (!holds) std::abort();
}

// Passes a status on; one that reports a bug of the library is a finding too.
inline ec_status checked(ec_status status) {
    require(status != EC_INTERNAL);
    return status;
}

// Names of the kernels that this processor can run.
inline std::vector<std::string> available_kernels() {
    std::istringstream list(ec_core_kernels_available());
    std::vector<std::string> names;
    for (std::string name; std::getline(list, name, ',');) names.push_back(name);
    return names;
}

// Makes the CRC-32 at the end of a coded picture valid again, as an attacker would.
inline void seal(std::vector<uint8_t> &file) {
    constexpr size_t kChecksumSize = 4;
    if (file.size() < kChecksumSize) return;
    const size_t covered = file.size() - kChecksumSize;
    const uint32_t checksum = ec_core_crc32(file.data(), covered);
    for (size_t i = 0; i < kChecksumSize; ++i) file[covered + i] = static_cast<uint8_t>(checksum >> 8 * i);
}

// An opened model; empty if the bytes are not a model.
class Model {
public:
    Model(const uint8_t *data, size_t size) {
        if (checked(ec_core_model_open(data, size, &model_, nullptr)) != EC_OK) model_ = nullptr;
    }
    Model(Model &&other) noexcept : model_(other.model_) { other.model_ = nullptr; }
    ~Model() { ec_core_model_close(model_); }

    explicit operator bool() const { return model_ != nullptr; }
    const ec_core_model *get() const { return model_; }

private:
    ec_core_model *model_ = nullptr;
};

// The latents that an encoder takes for a picture, or those that a decoder returns.
class Latents {
public:
    enum Side { encoder, decoder };

    Latents(Side side, const Model &model, uint32_t width, uint32_t height) {
        const auto count = side == encoder ? ec_core_model_encoder_latent_count : ec_core_model_decoder_latent_count;
        const auto describe = side == encoder ? ec_core_model_encoder_latent : ec_core_model_decoder_latent;
        const size_t alignment = ec_core_model_alignment(model.get());
        for (uint32_t i = 0; i < count(model.get()); ++i) {
            ec_core_tensor tensor{};
            require(describe(model.get(), i, &tensor) == EC_OK);
            names_.emplace_back(tensor.name);
            const auto length = [&](size_t pixels) {
                return (pixels + alignment - 1) / alignment * (alignment / tensor.stride);
            };
            values_.emplace_back(tensor.channels * length(height) * length(width));
        }
    }

    std::vector<int16_t *> addresses() {
        std::vector<int16_t *> all;
        for (std::vector<int16_t> &tensor : values_) all.push_back(tensor.data());
        return all;
    }
    std::vector<std::vector<int16_t>> &values() { return values_; }
    const std::vector<std::string> &names() const { return names_; }

private:
    std::vector<std::string> names_;
    std::vector<std::vector<int16_t>> values_;
};
