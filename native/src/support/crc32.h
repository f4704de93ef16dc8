// CRC-32 with the polynomial of zlib and PNG (EDB88320, reflected).
#pragma once

#include <cstddef>
#include <cstdint>

namespace edgecodec {

uint32_t crc32(const uint8_t *data, size_t size);

}  // namespace edgecodec
