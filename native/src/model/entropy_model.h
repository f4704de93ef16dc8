// A frozen entropy model (docs/format.md, section 3): tables, integer nets, and the steps that turn a payload into
// latents with them. The steps are the same in both directions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "model/step_reader.h"

namespace edgecodec {

class EntropyModel {
public:
    // Parses and proves the whole file: no picture can then make the model leave its buffers or its number ranges.
    EntropyModel(const uint8_t *data, size_t size);

    uint32_t id() const { return id_; }
    uint32_t alignment() const { return parts_.alignment; }
    const ModelTensor &tensor(size_t i) const { return parts_.tensors[i]; }
    Extent extent(size_t tensor, uint32_t width, uint32_t height) const {
        return extent_of(parts_.tensors[tensor], parts_.alignment, width, height);
    }
    // The tensors that an encoder takes, and those that a decoder returns, in their order.
    const std::vector<size_t> &encoder_latents() const { return encoder_latents_; }
    const std::vector<size_t> &decoder_latents() const { return decoder_latents_; }

    // latents[i] is decoder latent i, (channels, rows, columns). Results do not depend on `threads`.
    void decode(uint32_t width, uint32_t height, uint32_t lanes, const uint8_t *payload, size_t size,
                int16_t *const *latents, unsigned threads) const;
    // latents[i] is encoder latent i.
    std::vector<uint8_t> encode(uint32_t width, uint32_t height, uint32_t &lanes, const int16_t *const *latents,
                                unsigned threads) const;
    // Bits that coding these encoder latents takes, without states and container.
    uint64_t bits(uint32_t width, uint32_t height, const int16_t *const *latents, unsigned threads) const;
    // Of decoding a picture. Throws Failure(EC_LIMIT) for a picture that the nets are not made for.
    Cost cost(uint32_t width, uint32_t height) const;
    // An upper bound on the bytes of a payload.
    size_t largest_payload(uint32_t width, uint32_t height) const;

private:
    struct Step {
        std::unique_ptr<const EntropyStep> step;
        size_t tensor;                 // the one that it defines
        std::vector<size_t> released;  // tensors that no later step reads
    };

    void read_tensors(ByteReader &reader, size_t count);
    void read_steps(ByteReader &reader, size_t count);
    void release_after(const StepReader &reader);
    void check_cost(const ByteReader &reader) const;
    void encode_steps(Workspace &workspace, const int16_t *const *latents, RansEncoder &encoder) const;
    uint32_t digest(Workspace &workspace) const;

    uint32_t id_ = 0;
    ModelParts parts_;
    std::vector<Step> steps_;
    size_t last_coding_step_ = 0;
    std::vector<size_t> encoder_latents_, decoder_latents_;
};

}  // namespace edgecodec
