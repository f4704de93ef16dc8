#include "support/sha256.h"

#include <algorithm>
#include <cstring>

#include "support/instruction_set.h"

namespace edgecodec {

namespace sha256 {

alignas(16) const uint32_t kRounds[64] = {
    0x428A2F98, 0x71374491, 0xB5C0FBCF, 0xE9B5DBA5, 0x3956C25B, 0x59F111F1, 0x923F82A4, 0xAB1C5ED5,
    0xD807AA98, 0x12835B01, 0x243185BE, 0x550C7DC3, 0x72BE5D74, 0x80DEB1FE, 0x9BDC06A7, 0xC19BF174,
    0xE49B69C1, 0xEFBE4786, 0x0FC19DC6, 0x240CA1CC, 0x2DE92C6F, 0x4A7484AA, 0x5CB0A9DC, 0x76F988DA,
    0x983E5152, 0xA831C66D, 0xB00327C8, 0xBF597FC7, 0xC6E00BF3, 0xD5A79147, 0x06CA6351, 0x14292967,
    0x27B70A85, 0x2E1B2138, 0x4D2C6DFC, 0x53380D13, 0x650A7354, 0x766A0ABB, 0x81C2C92E, 0x92722C85,
    0xA2BFE8A1, 0xA81A664B, 0xC24B8B70, 0xC76C51A3, 0xD192E819, 0xD6990624, 0xF40E3585, 0x106AA070,
    0x19A4C116, 0x1E376C08, 0x2748774C, 0x34B0BCB5, 0x391C0CB3, 0x4ED8AA4A, 0x5B9CCA4F, 0x682E6FF3,
    0x748F82EE, 0x78A5636F, 0x84C87814, 0x8CC70208, 0x90BEFFFA, 0xA4506CEB, 0xBEF9A3F7, 0xC67178F2,
};

namespace {

uint32_t rotate(uint32_t value, int bits) { return value >> bits | value << (32 - bits); }

uint32_t big_endian(const uint8_t *bytes) {
    return uint32_t{bytes[0]} << 24 | uint32_t{bytes[1]} << 16 | uint32_t{bytes[2]} << 8 | bytes[3];
}

}  // namespace

void compress_scalar(State &state, const uint8_t *blocks, size_t count) {
    for (; count > 0; --count, blocks += 64) {
        uint32_t words[64];
        for (int i = 0; i < 16; ++i) words[i] = big_endian(blocks + 4 * i);
        for (int i = 16; i < 64; ++i) {
            const uint32_t x = words[i - 15], y = words[i - 2];
            words[i] = words[i - 16] + (rotate(x, 7) ^ rotate(x, 18) ^ x >> 3) + words[i - 7] +
                       (rotate(y, 17) ^ rotate(y, 19) ^ y >> 10);
        }
        uint32_t a = state[0], b = state[1], c = state[2], d = state[3];
        uint32_t e = state[4], f = state[5], g = state[6], h = state[7];
        for (int i = 0; i < 64; ++i) {
            const uint32_t first =
                h + (rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)) + ((e & f) ^ (~e & g)) + kRounds[i] + words[i];
            const uint32_t second = (rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
            h = g, g = f, f = e, e = d + first;
            d = c, c = b, b = a, a = first + second;
        }
        const uint32_t after[] = {a, b, c, d, e, f, g, h};
        for (int i = 0; i < 8; ++i) state[i] += after[i];
    }
}

Compress *fastest() {
#if defined(__x86_64__)
    static Compress *const chosen = has_sha256_instructions() ? compress_shani : compress_scalar;
#elif defined(__aarch64__)
    static Compress *const chosen = has_sha256_instructions() ? compress_armv8 : compress_scalar;
#else
    static Compress *const chosen = compress_scalar;
#endif
    return chosen;
}

}  // namespace sha256

void Sha256::update(const uint8_t *data, size_t size) {
    const size_t waiting = size_ % sizeof block_;
    size_ += size;
    if (waiting > 0) {
        const size_t taken = std::min(size, sizeof block_ - waiting);
        std::copy_n(data, taken, block_ + waiting);
        if (waiting + taken < sizeof block_) return;
        compress_(state_, block_, 1);
        data += taken;
        size -= taken;
    }
    const size_t blocks = size / sizeof block_;
    if (blocks > 0) compress_(state_, data, blocks);
    std::copy_n(data + blocks * sizeof block_, size % sizeof block_, block_);
}

Digest Sha256::finish() {
    // A 1 bit, zeros up to the last 8 bytes of a block, and the size in bits.
    const uint64_t bits = size_ * 8;
    uint8_t padding[2 * sizeof block_] = {0x80};
    const size_t zeros_end = (sizeof block_ + 55 - size_ % sizeof block_) % sizeof block_ + 1;
    for (int i = 0; i < 8; ++i) padding[zeros_end + i] = static_cast<uint8_t>(bits >> (56 - 8 * i));
    update(padding, zeros_end + 8);
    Digest digest;
    for (size_t i = 0; i < digest.size(); ++i) digest[i] = static_cast<uint8_t>(state_[i / 4] >> (24 - 8 * (i % 4)));
    return digest;
}

}  // namespace edgecodec
