// Bundles on disk: files that are what the index says they are.
//
// Opening compares the size of every file. Contents are hashed when they are used, from one opening: what is used is
// what was hashed. Files may be links to anywhere, as model hubs keep them, but each is a regular file of the promised
// size. Nobody else opens a file of a bundle.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "bundle/index.h"
#include "bundle/mapped_file.h"
#include "edgecodec/edgecodec.h"
#include "model/entropy_model.h"
#include "support/sha256.h"
#include "support/status.h"

namespace edgecodec {

// A graph with its weights, proven and ready for an engine. `view` points into the rest.
struct GraphContents {
    std::string path;
    std::vector<uint8_t> data;
    std::vector<std::string> locations;
    std::vector<MappedFile> mapped;
    std::vector<ec_weights> weights;
    ec_graph_data view;
};

class Bundle {
public:
    // Throws Failure: EC_NOT_A_BUNDLE, EC_VERSION, EC_BUNDLE_CHANGED, EC_CANNOT_READ.
    explicit Bundle(const std::string &path);

    const ec_bundle_info &info() const { return index_->info(); }
    // Opened when it is first asked for, checked against the index, and kept. Throws EC_BUNDLE_CHANGED, EC_BAD_MODEL.
    const EntropyModel &entropy_model(uint32_t model) const;
    // Throws EC_BUNDLE_CHANGED, EC_BAD_MODEL, EC_LIMIT.
    std::unique_ptr<GraphContents> graph(uint32_t number) const;
    // The contents of a file, which are those that the index describes. Throws EC_BUNDLE_CHANGED, EC_LIMIT.
    std::vector<uint8_t> read(const ec_bundle_file &file) const;
    // The same, into memory of file.size bytes.
    void read(const ec_bundle_file &file, uint8_t *to) const;
    // Throws EC_INVALID_ARGUMENT for a name that the index does not list.
    const ec_bundle_file &file(const char *name) const;
    // Hashes a file of any size. Throws EC_BUNDLE_CHANGED.
    void check(const ec_bundle_file &file) const;
    // Of the folder, as it was given.
    const std::string &path() const { return path_; }
    // The path of a file of the bundle, for messages too.
    std::string path_of(const char *name) const;

private:
    void check_sizes() const;
    void check_entropy_model(const EntropyModel &found, const ec_model &listed) const;
    MappedFile map(const ec_bundle_file &file) const;
    template <class Use>
    auto opened(const ec_bundle_file &file, Use &&use) const;
    void compare_size(const ec_bundle_file &file, uint64_t size) const;
    void compare_digest(const ec_bundle_file &file, const Digest &digest) const;
    Failure changed(const ec_bundle_file &file, const std::string &problem) const;

    std::string path_;
    std::unique_ptr<Index> index_;
    mutable std::mutex opening_;
    mutable std::vector<std::unique_ptr<EntropyModel>> entropy_models_;
};

}  // namespace edgecodec

// The handle of the C interface.
struct ec_bundle {
    explicit ec_bundle(const std::string &path) : bundle(path) {}
    edgecodec::Bundle bundle;
};
