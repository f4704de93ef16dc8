// SHA-256 (FIPS 180-4). Weights of hundreds of megabytes are hashed while somebody waits for a first picture, so it uses
// the processor's instructions for it where there are any.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace edgecodec {

using Digest = std::array<uint8_t, 32>;

namespace sha256 {

using State = uint32_t[8];

// Takes in `count` blocks of 64 bytes.
using Compress = void(State &state, const uint8_t *blocks, size_t count);

Compress compress_scalar;
#if defined(__x86_64__)
Compress compress_shani;
#elif defined(__aarch64__)
Compress compress_armv8;
#endif

extern const uint32_t kRounds[64];

// The fastest that this processor runs.
Compress *fastest();

}  // namespace sha256

class Sha256 {
public:
    explicit Sha256(sha256::Compress *compress = sha256::fastest()) : compress_(compress) {}

    void update(const uint8_t *data, size_t size);
    // Once, at the end.
    Digest finish();

private:
    sha256::Compress *compress_;
    sha256::State state_ = {0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A,
                            0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19};
    uint64_t size_ = 0;  // bytes
    uint8_t block_[64];  // its first size_ % 64 bytes wait for the rest
};

}  // namespace edgecodec
