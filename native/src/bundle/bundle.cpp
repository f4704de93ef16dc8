#include "bundle/bundle.h"

#include <algorithm>
#include <cstring>
#include <set>
#include <string_view>
#include <utility>

#include "bundle/graph_file.h"
#include "bundle/regular_file.h"
#include "runtime/noise.h"

namespace edgecodec {

namespace {

constexpr char kIndex[] = "index.bin";
constexpr char kManifest[] = "manifest.json";
constexpr size_t kBlock = 1 << 20;            // bytes
constexpr uint64_t kLargestRead = INT32_MAX;  // bytes of a file that is read whole: protocol buffers, and so graphs

std::string path_in(const std::string &folder, const std::string &name) {
    return folder + (folder.empty() || folder.back() == '/' ? "" : "/") + name;
}

bool is_there(const std::string &path) {
    try {
        regular_file_size(path);
    } catch (const UnreadableFile &unreadable) {
        return unreadable.reason != UnreadableFile::missing;
    }
    return true;
}

[[noreturn]] void fail_without_index(const std::string &folder) {
    if (is_there(path_in(folder, kManifest))) {
        throw Failure(EC_VERSION, std::string("was exported by an older edgecodec: it has no ") + kIndex)
            .at(folder)
            .advising("export it again");
    }
    throw Failure(EC_NOT_A_BUNDLE, std::string("has no ") + kIndex)
        .at(folder)
        .advising("a bundle is a folder that export wrote");
}

std::unique_ptr<Index> read_index_of(const std::string &folder) {
    const std::string path = path_in(folder, kIndex);
    return located(path, [&] {
        try {
            RegularFile file(path);
            // One byte more than it may have, so that a larger one is seen.
            std::vector<uint8_t> data(static_cast<size_t>(std::min<uint64_t>(file.size(), kLargestIndex + 1)));
            data.resize(file.read(data.data(), data.size()));
            return std::make_unique<Index>(data.data(), data.size());
        } catch (const UnreadableFile &unreadable) {
            if (unreadable.reason == UnreadableFile::missing) fail_without_index(folder);
            throw Failure(EC_CANNOT_READ, unreadable.problem);
        }
    });
}

Digest digest_of(const uint8_t *data, size_t size) {
    Sha256 hash;
    hash.update(data, size);
    return hash.finish();
}

bool same_latents(const EntropyModel &model, const std::vector<size_t> &found, const ec_latent *const *listed,
                  size_t count) {
    return std::equal(found.begin(), found.end(), listed, listed + count, [&](size_t tensor, const ec_latent *latent) {
        const ModelTensor &other = model.tensor(tensor);
        return other.name == latent->name && other.channels == latent->channels && other.stride == latent->stride;
    });
}

}  // namespace

Bundle::Bundle(const std::string &path) : path_(path), index_(read_index_of(path)) {
    check_sizes();
    entropy_models_.resize(info().model_count);
}

void Bundle::check_sizes() const {
    for (size_t i = 0; i < info().file_count; ++i) {
        const ec_bundle_file &file = *info().files[i];
        try {
            compare_size(file, regular_file_size(path_of(file.name)));
        } catch (const UnreadableFile &unreadable) {
            const bool is_odd = unreadable.reason == UnreadableFile::not_regular;
            throw changed(file, is_odd ? unreadable.problem : "is missing or cannot be read");
        }
    }
}

// What `use` gives for an open file of the promised size.
template <class Use>
auto Bundle::opened(const ec_bundle_file &file, Use &&use) const {
    try {
        RegularFile open(path_of(file.name));
        compare_size(file, open.size());
        return use(open);
    } catch (const UnreadableFile &unreadable) {
        const bool is_odd = unreadable.reason == UnreadableFile::not_regular;
        throw changed(file, is_odd ? unreadable.problem : "cannot be read");
    }
}

const EntropyModel &Bundle::entropy_model(uint32_t model) const {
    const std::lock_guard<std::mutex> lock(opening_);
    std::unique_ptr<EntropyModel> &kept = entropy_models_.at(model);
    if (kept == nullptr) {
        const ec_model &listed = *info().models[model];
        const std::vector<uint8_t> data = read(index_->entropy_file(listed));
        auto found =
            located(path_of(listed.file), [&] { return std::make_unique<EntropyModel>(data.data(), data.size()); });
        check_entropy_model(*found, listed);
        kept = std::move(found);
    }
    return *kept;
}

void Bundle::check_entropy_model(const EntropyModel &found, const ec_model &listed) const {
    const ec_bundle_file &file = index_->entropy_file(listed);
    if (found.id() != listed.id ||
        !same_latents(found, found.encoder_latents(), listed.encoder_latents, listed.encoder_latent_count) ||
        !same_latents(found, found.decoder_latents(), listed.decoder_latents, listed.decoder_latent_count)) {
        throw changed(file, "has another model id or other latents than the index");
    }
    if (found.alignment() != listed.alignment) {
        throw changed(file, "has alignment " + std::to_string(found.alignment()) + ", the index says " +
                                std::to_string(listed.alignment));
    }
    located(path_of(kIndex), [&] { check_noise(listed.noise_channels, listed.noise_stride); });
}

std::unique_ptr<GraphContents> Bundle::graph(uint32_t number) const {
    const ec_graph &graph = *info().graphs[number];
    auto contents = std::make_unique<GraphContents>();
    contents->path = path_of(graph.file);
    contents->data = read(index_->graph_file(graph));
    // A graph names files relative to its folder, the index relative to the bundle's.
    const std::string name = graph.file;
    const std::string folder = name.substr(0, name.rfind('/') + 1);
    std::vector<const ec_bundle_file *> files;
    std::set<const ec_bundle_file *> known;
    try {
        for (const WeightsElsewhere &each : read_graph(contents->data.data(), contents->data.size())) {
            const std::string location(each.location);
            const ec_bundle_file *file = index_->find_file((folder + location).c_str());
            if (file == nullptr) {
                throw Failure(EC_BAD_MODEL, "has weights in '" + location + "', not listed in the index");
            }
            if (each.size > file->size || each.offset > file->size - each.size) {
                throw Failure(EC_BAD_MODEL, "has weights beyond the end of '" + location + "'");
            }
            if (known.insert(file).second) {
                files.push_back(file);
                contents->locations.push_back(location);
            }
        }
    } catch (Failure &failure) {
        failure.locate(contents->path);
        failure.hint = "export the bundle again";
        throw;
    }
    for (size_t i = 0; i < files.size(); ++i) {
        const MappedFile &mapped = contents->mapped.emplace_back(map(*files[i]));
        contents->weights.push_back({contents->locations[i].c_str(), mapped.data(), mapped.size()});
    }
    ec_graph_data &view = contents->view;
    view.graph = &graph;
    view.path = contents->path.c_str();
    view.data = contents->data.data();
    view.size = contents->data.size();
    view.weights = contents->weights.data();
    view.weight_count = contents->weights.size();
    view.owner = contents.get();
    return contents;
}

std::vector<uint8_t> Bundle::read(const ec_bundle_file &file) const {
    if (file.size > kLargestRead) {
        throw Failure(EC_LIMIT,
                      "has " + std::to_string(file.size) + " bytes, more than " + std::to_string(kLargestRead))
            .at(path_of(file.name));
    }
    std::vector<uint8_t> data(static_cast<size_t>(file.size));
    read(file, data.data());
    return data;
}

void Bundle::read(const ec_bundle_file &file, uint8_t *to) const {
    const size_t size = opened(file, [&](RegularFile &open) { return open.read(to, static_cast<size_t>(file.size)); });
    compare_digest(file, digest_of(to, size));
}

void Bundle::check(const ec_bundle_file &file) const {
    Sha256 hash;
    opened(file, [&](RegularFile &open) {
        std::vector<uint8_t> block(static_cast<size_t>(std::min<uint64_t>(file.size, kBlock)));
        for (uint64_t left = file.size; left > 0;) {
            const size_t got = open.read(block.data(), static_cast<size_t>(std::min<uint64_t>(left, block.size())));
            if (got == 0) break;  // it has become shorter, which the hash shows
            hash.update(block.data(), got);
            left -= got;
        }
    });
    compare_digest(file, hash.finish());
}

const ec_bundle_file &Bundle::file(const char *name) const {
    const ec_bundle_file *file = index_->find_file(name);
    if (file == nullptr) throw Failure(EC_INVALID_ARGUMENT, "is not listed in the index").at(path_of(name));
    return *file;
}

std::string Bundle::path_of(const char *name) const { return path_in(path_, name); }

// There are weights in the file, so it is not empty.
MappedFile Bundle::map(const ec_bundle_file &file) const {
    MappedFile mapped = opened(file, [&](RegularFile &open) {
        if (file.size > PTRDIFF_MAX) throw std::bad_alloc();
        return MappedFile(open.descriptor(), static_cast<size_t>(file.size));
    });
    compare_digest(file, digest_of(mapped.data(), mapped.size()));
    return mapped;
}

void Bundle::compare_size(const ec_bundle_file &file, uint64_t size) const {
    if (size != file.size) {
        throw changed(file, "has " + std::to_string(size) + " bytes, the index says " + std::to_string(file.size));
    }
}

void Bundle::compare_digest(const ec_bundle_file &file, const Digest &digest) const {
    if (std::memcmp(digest.data(), file.sha256, digest.size()) != 0) {
        throw changed(file, "does not have the SHA-256 of the index");
    }
}

Failure Bundle::changed(const ec_bundle_file &file, const std::string &problem) const {
    return Failure(EC_BUNDLE_CHANGED, problem).at(path_of(file.name)).advising("fetch or export the bundle again");
}

}  // namespace edgecodec
