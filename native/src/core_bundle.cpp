// The C functions of indexes, of a bundle's files, and of their hash.
#include <algorithm>
#include <string>

#include "bundle/bundle.h"
#include "bundle/index.h"
#include "edgecodec/core.h"
#include "support/caller_struct.h"
#include "support/sha256.h"
#include "support/status.h"

using namespace edgecodec;

struct ec_core_index {
    ec_core_index(const uint8_t *data, size_t size) : index(data, size) {}

    Index index;
};

ec_status ec_core_index_open(const uint8_t *data, size_t size, ec_core_index **out, ec_error *error) {
    return guarded(error, [&] {
        if (out == nullptr || (data == nullptr && size > 0)) throw Failure(EC_INVALID_ARGUMENT, "data or out missing");
        *out = new ec_core_index(data, size);
    });
}

ec_status ec_core_index_describe(const ec_core_index *index, ec_bundle_info *out, ec_error *error) {
    return guarded(error, [&] {
        if (index == nullptr) throw Failure(EC_INVALID_ARGUMENT, "index missing");
        check_struct(out, "out");
        to_caller(index->index.info(), out);
    });
}

void ec_core_index_close(ec_core_index *index) { delete index; }

ec_status ec_core_bundle_read(const ec_bundle *bundle, const char *name, uint8_t *out, size_t capacity, size_t *written,
                              ec_error *error) {
    return guarded(error, [&] {
        if (bundle == nullptr || name == nullptr || written == nullptr || (out == nullptr && capacity > 0)) {
            throw Failure(EC_INVALID_ARGUMENT, "bundle, name, out or written missing");
        }
        const ec_bundle_file &file = bundle->bundle.file(name);
        if (file.size > capacity) {
            throw Failure(EC_INVALID_ARGUMENT, "is larger than the capacity").at(bundle->bundle.path_of(name));
        }
        bundle->bundle.read(file, out);
        *written = static_cast<size_t>(file.size);
    });
}

ec_status ec_core_bundle_check(const ec_bundle *bundle, const char *name, ec_error *error) {
    return guarded(error, [&] {
        if (bundle == nullptr || name == nullptr) throw Failure(EC_INVALID_ARGUMENT, "bundle or name missing");
        bundle->bundle.check(bundle->bundle.file(name));
    });
}

ec_status ec_core_bundle_check_model(const ec_bundle *bundle, uint32_t number, ec_error *error) {
    return guarded(error, [&] {
        if (bundle == nullptr) throw Failure(EC_INVALID_ARGUMENT, "bundle missing");
        const size_t count = bundle->bundle.info().model_count;
        if (number >= count) {
            throw Failure(EC_INVALID_ARGUMENT,
                          "there is no model " + std::to_string(number) + ", of " + std::to_string(count));
        }
        bundle->bundle.entropy_model(number);
    });
}

void ec_core_sha256(const uint8_t *data, size_t size, uint32_t portable, uint8_t digest[32]) {
    Sha256 hash(portable != 0 ? sha256::compress_scalar : sha256::fastest());
    hash.update(data, size);
    const Digest made = hash.finish();
    std::copy(made.begin(), made.end(), digest);
}
