// index.bin, the description of a bundle that a runtime reads (docs/format.md, section 6).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "edgecodec/edgecodec.h"

namespace edgecodec {

constexpr size_t kLargestIndex = 1 << 22;  // bytes; a bound on the memory of the description

// The description is the public one, so that what callers see is what the runtime goes by.
class Index {
public:
    // Parses and proves the whole file: every number in its range, every reference to something that is there, names
    // unique where they must be. Throws Failure: EC_VERSION for another schema, EC_NOT_A_BUNDLE for all else, with the
    // byte and the field.
    Index(const uint8_t *data, size_t size);
    ~Index();

    const ec_bundle_info &info() const;
    // The file of a model's entropy model, or of a graph, among info().files.
    const ec_bundle_file &entropy_file(const ec_model &model) const;
    const ec_bundle_file &graph_file(const ec_graph &graph) const;
    // NULL where the bundle has no file of that name.
    const ec_bundle_file *find_file(const char *name) const;

private:
    struct Storage;
    std::unique_ptr<Storage> storage_;
};

}  // namespace edgecodec
