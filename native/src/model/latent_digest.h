// Digest of the decoded latents (docs/format.md, 2.5), in 64 independent lanes so that it vectorises.
#pragma once

#include <cstddef>
#include <cstdint>

namespace edgecodec {

class LatentDigest {
public:
    // Adds one whole tensor, in channel, row, column order. Tensors come in the order of the model.
    void add(const int16_t *values, size_t count);

    uint32_t value() const { return digest_; }

private:
    uint32_t digest_ = 0x65646763;
};

}  // namespace edgecodec
