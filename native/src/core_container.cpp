// The C functions of the container.
#include <cstring>

#include "container/container.h"
#include "support/crc32.h"
#include "support/status.h"

using namespace edgecodec;

ec_status ec_core_container_parse(const uint8_t *data, size_t size, ec_core_container *out, ec_error *error) {
    return guarded(error, [&] {
        if (out == nullptr || (data == nullptr && size > 0)) throw Failure(EC_INVALID_ARGUMENT, "data or out missing");
        *out = parse_container(data, size);
    });
}

ec_status ec_core_container_write(const ec_core_container *head, const uint8_t *const *sections, const uint8_t *payload,
                                  uint8_t *out, size_t capacity, size_t *written, ec_error *error) {
    return guarded(error, [&] {
        if (head == nullptr || written == nullptr || (sections == nullptr && head->section_count > 0) ||
            (payload == nullptr && head->payload.size > 0)) {
            throw Failure(EC_INVALID_ARGUMENT, "head, sections, payload or written missing");
        }
        const std::vector<uint8_t> file = write_container(*head, sections, payload);
        *written = file.size();
        if (out == nullptr || file.size() > capacity) {
            throw Failure(EC_INVALID_ARGUMENT, "the file is larger than the capacity");
        }
        std::memcpy(out, file.data(), file.size());
    });
}

uint32_t ec_core_crc32(const uint8_t *data, size_t size) { return crc32(data, size); }
