#include "support/crc32.h"

#include <array>

namespace edgecodec {

namespace {

// Row k advances a byte that is followed by k more bytes, so that eight bytes fold in one step.
constexpr std::array<std::array<uint32_t, 256>, 8> make_tables() {
    std::array<std::array<uint32_t, 256>, 8> tables{};
    for (uint32_t byte = 0; byte < 256; ++byte) {
        uint32_t crc = byte;
        for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (crc & 1 ? 0xEDB88320u : 0u);
        tables[0][byte] = crc;
    }
    for (size_t row = 1; row < 8; ++row) {
        for (size_t byte = 0; byte < 256; ++byte) {
            const uint32_t before = tables[row - 1][byte];
            tables[row][byte] = before >> 8 ^ tables[0][before & 255];
        }
    }
    return tables;
}

constexpr std::array<std::array<uint32_t, 256>, 8> kTables = make_tables();

}  // namespace

uint32_t crc32(const uint8_t *data, size_t size) {
    uint32_t crc = 0xFFFFFFFFu;
    for (; size >= 8; data += 8, size -= 8) {
        uint32_t next = 0;
        for (size_t k = 0; k < 8; ++k) {
            const uint32_t folded = k < 4 ? crc >> 8 * k & 255 : 0;
            next ^= kTables[7 - k][data[k] ^ folded];
        }
        crc = next;
    }
    for (; size > 0; ++data, --size) crc = crc >> 8 ^ kTables[0][(crc ^ *data) & 255];
    return ~crc;
}

}  // namespace edgecodec
