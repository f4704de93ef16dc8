// The C functions of the rANS coder alone.
#include <algorithm>
#include <cstring>
#include <vector>

#include "rans/decoder.h"
#include "rans/encoder.h"
#include "support/status.h"

struct ec_core_tables {
    edgecodec::CodingTables set;
};

using namespace edgecodec;

namespace {

// Works in columns, which the compiler turns into vectors of bytes.
uint8_t largest_of(const uint8_t *values, size_t count) {
    constexpr size_t kColumns = 64;
    uint8_t largest[kColumns] = {};
    size_t i = 0;
    for (; i + kColumns <= count; i += kColumns) {
        for (size_t k = 0; k < kColumns; ++k) largest[k] = values[i + k] > largest[k] ? values[i + k] : largest[k];
    }
    for (; i < count; ++i) largest[0] = std::max(largest[0], values[i]);
    return *std::max_element(largest, largest + kColumns);
}

// The coder trusts its indices; these functions do not trust their callers.
void check_run(const ec_core_tables *tables, const uint8_t *indices, const int16_t *symbols, const size_t *counts,
               size_t steps) {
    if (tables == nullptr || (counts == nullptr && steps > 0)) {
        throw Failure(EC_INVALID_ARGUMENT, "tables or counts missing");
    }
    size_t total = 0;
    for (size_t step = 0; step < steps; ++step) {
        if (counts[step] > SIZE_MAX / 4 - total) throw Failure(EC_INVALID_ARGUMENT, "too many symbols");
        total += counts[step];
    }
    if (total == 0) return;
    if (indices == nullptr || symbols == nullptr) throw Failure(EC_INVALID_ARGUMENT, "indices or symbols missing");
    if (largest_of(indices, total) >= tables->set.size()) {
        throw Failure(EC_INVALID_ARGUMENT, "an index names no table of the set");
    }
}

}  // namespace

ec_status ec_core_tables_open(const uint8_t *data, size_t size, ec_core_tables **out, ec_error *error) {
    return guarded(error, [&] {
        if ((data == nullptr && size > 0) || out == nullptr) throw Failure(EC_INVALID_ARGUMENT, "data or out missing");
        ByteReader reader(data, size, EC_BAD_MODEL);
        CodingTables set = CodingTables::parse(reader);
        if (reader.remaining() > 0) reader.fail("goes on after its last table");
        *out = new ec_core_tables{std::move(set)};
    });
}

void ec_core_tables_close(ec_core_tables *tables) { delete tables; }

ec_status ec_core_coder_encode(const ec_core_tables *tables, const uint8_t *indices, const int16_t *symbols,
                               const size_t *counts, size_t steps, uint32_t *lanes, uint32_t digest, uint8_t *payload,
                               size_t capacity, size_t *written, ec_error *error) {
    return guarded(error, [&] {
        check_run(tables, indices, symbols, counts, steps);
        if (lanes == nullptr || written == nullptr) throw Failure(EC_INVALID_ARGUMENT, "lanes or written missing");
        RansEncoder encoder;
        for (size_t step = 0; step < steps; ++step) {
            encoder.add(tables->set, indices, symbols, counts[step]);
            indices += counts[step];
            symbols += counts[step];
        }
        const std::vector<uint8_t> coded = encoder.finish(*lanes, digest);
        *written = coded.size();
        if (payload == nullptr || coded.size() > capacity) {
            throw Failure(EC_INVALID_ARGUMENT, "the payload is larger than the capacity");
        }
        std::memcpy(payload, coded.data(), coded.size());
    });
}

ec_status ec_core_coder_decode(const ec_core_tables *tables, const uint8_t *indices, int16_t *symbols,
                               const size_t *counts, size_t steps, uint32_t lanes, uint32_t *digest,
                               const uint8_t *payload, size_t size, ec_error *error) {
    return guarded(error, [&] {
        check_run(tables, indices, symbols, counts, steps);
        if (digest == nullptr || (payload == nullptr && size > 0)) {
            throw Failure(EC_INVALID_ARGUMENT, "digest or payload missing");
        }
        RansDecoder decoder(payload, size, lanes);
        for (size_t step = 0; step < steps; ++step) {
            decoder.decode(tables->set, indices, symbols, counts[step], step + 1 == steps);
            indices += counts[step];
            symbols += counts[step];
        }
        *digest = decoder.finish();
    });
}
