// The C functions of the entropy model.
#include <cstring>
#include <memory>

#include "model/entropy_model.h"
#include "support/status.h"

using namespace edgecodec;

struct ec_core_model {
    ec_core_model(const uint8_t *data, size_t size) : model(data, size) {}

    EntropyModel model;
};

namespace {

void check(const ec_core_model *model, uint32_t width, uint32_t height, const void *latents, uint32_t threads) {
    if (model == nullptr || latents == nullptr) throw Failure(EC_INVALID_ARGUMENT, "model or latents missing");
    if (width == 0 || height == 0 || width > 65535 || height > 65535) {
        throw Failure(EC_INVALID_ARGUMENT, "a side must be 1 to 65535 pixels");
    }
    if (threads == 0) throw Failure(EC_INVALID_ARGUMENT, "threads must be 1 or more");
}

ec_status describe(const EntropyModel &model, const std::vector<size_t> &latents, uint32_t i, ec_core_tensor *out) {
    if (out == nullptr || i >= latents.size()) return EC_INVALID_ARGUMENT;
    const ModelTensor &tensor = model.tensor(latents[i]);
    *out = {tensor.name.c_str(), tensor.channels, tensor.stride};
    return EC_OK;
}

}  // namespace

ec_status ec_core_model_open(const uint8_t *data, size_t size, ec_core_model **out, ec_error *error) {
    return guarded(error, [&] {
        if (out == nullptr || (data == nullptr && size > 0)) throw Failure(EC_INVALID_ARGUMENT, "data or out missing");
        *out = new ec_core_model(data, size);
    });
}

void ec_core_model_close(ec_core_model *model) { delete model; }

uint32_t ec_core_model_id(const ec_core_model *model) { return model->model.id(); }

uint32_t ec_core_model_alignment(const ec_core_model *model) { return model->model.alignment(); }

uint32_t ec_core_model_encoder_latent_count(const ec_core_model *model) {
    return static_cast<uint32_t>(model->model.encoder_latents().size());
}

uint32_t ec_core_model_decoder_latent_count(const ec_core_model *model) {
    return static_cast<uint32_t>(model->model.decoder_latents().size());
}

ec_status ec_core_model_encoder_latent(const ec_core_model *model, uint32_t i, ec_core_tensor *out) {
    return model == nullptr ? EC_INVALID_ARGUMENT : describe(model->model, model->model.encoder_latents(), i, out);
}

ec_status ec_core_model_decoder_latent(const ec_core_model *model, uint32_t i, ec_core_tensor *out) {
    return model == nullptr ? EC_INVALID_ARGUMENT : describe(model->model, model->model.decoder_latents(), i, out);
}

ec_status ec_core_model_cost(const ec_core_model *model, uint32_t width, uint32_t height, ec_core_cost *out,
                             ec_error *error) {
    return guarded(error, [&] {
        check(model, width, height, out, 1);
        const Cost cost = model->model.cost(width, height);
        *out = {cost.bytes, cost.multiplications};
    });
}

ec_status ec_core_decode(const ec_core_model *model, uint32_t width, uint32_t height, uint32_t lanes,
                         const uint8_t *payload, size_t size, int16_t *const *latents, uint32_t threads,
                         ec_error *error) {
    return guarded(error, [&] {
        check(model, width, height, latents, threads);
        if (payload == nullptr && size > 0) throw Failure(EC_INVALID_ARGUMENT, "payload missing");
        model->model.decode(width, height, lanes, payload, size, latents, threads);
    });
}

ec_status ec_core_encode(const ec_core_model *model, uint32_t width, uint32_t height, uint32_t *lanes,
                         const int16_t *const *latents, uint8_t *payload, size_t capacity, size_t *written,
                         uint32_t threads, ec_error *error) {
    return guarded(error, [&] {
        check(model, width, height, latents, threads);
        if (lanes == nullptr || written == nullptr) throw Failure(EC_INVALID_ARGUMENT, "lanes or written missing");
        const std::vector<uint8_t> coded = model->model.encode(width, height, *lanes, latents, threads);
        *written = coded.size();
        if (payload == nullptr || coded.size() > capacity) {
            throw Failure(EC_INVALID_ARGUMENT, "the payload is larger than the capacity");
        }
        std::memcpy(payload, coded.data(), coded.size());
    });
}

size_t ec_core_encode_bound(const ec_core_model *model, uint32_t width, uint32_t height) {
    return model->model.largest_payload(width, height);
}

ec_status ec_core_encode_bits(const ec_core_model *model, uint32_t width, uint32_t height,
                              const int16_t *const *latents, uint64_t *bits, uint32_t threads, ec_error *error) {
    return guarded(error, [&] {
        check(model, width, height, latents, threads);
        if (bits == nullptr) throw Failure(EC_INVALID_ARGUMENT, "bits missing");
        *bits = model->model.bits(width, height, latents, threads);
    });
}
