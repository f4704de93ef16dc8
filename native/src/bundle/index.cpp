#include "bundle/index.h"

#include "bundle/index_reader.h"
#include "bundle/index_storage.h"

namespace edgecodec {

struct Index::Storage : IndexStorage {};

Index::Index(const uint8_t *data, size_t size) : storage_(std::make_unique<Storage>()) {
    read_index(data, size, *storage_);
}

Index::~Index() = default;

const ec_bundle_info &Index::info() const { return storage_->info; }

const ec_bundle_file &Index::entropy_file(const ec_model &model) const { return *find_file(model.file); }

const ec_bundle_file &Index::graph_file(const ec_graph &graph) const { return *find_file(graph.file); }

const ec_bundle_file *Index::find_file(const char *name) const {
    const auto found = storage_->files_by_name.find(name);
    return found == storage_->files_by_name.end() ? nullptr : found->second;
}

}  // namespace edgecodec
