// The public C functions of bundles and their graphs.
#include <cstddef>
#include <memory>
#include <string>

#include "bundle/bundle.h"
#include "edgecodec/edgecodec.h"
#include "support/caller_struct.h"
#include "support/status.h"

using namespace edgecodec;

ec_status ec_bundle_open(const char *path, ec_bundle **out, ec_error *error) {
    return guarded(error, [&] {
        if (path == nullptr || out == nullptr) throw Failure(EC_INVALID_ARGUMENT, "path or out missing");
        *out = new ec_bundle(path);
    });
}

ec_status ec_bundle_describe(const ec_bundle *bundle, ec_bundle_info *out, ec_error *error) {
    return guarded(error, [&] {
        if (bundle == nullptr) throw Failure(EC_INVALID_ARGUMENT, "bundle missing");
        check_struct(out, "out");
        to_caller(bundle->bundle.info(), out);
    });
}

void ec_bundle_close(ec_bundle *bundle) { delete bundle; }

ec_status ec_graph_open(const ec_bundle *bundle, uint32_t number, ec_graph_data *out, ec_error *error) {
    return guarded(error, [&] {
        if (bundle == nullptr) throw Failure(EC_INVALID_ARGUMENT, "bundle missing");
        check_struct(out, "out");
        if (out->struct_size < offsetof(ec_graph_data, owner) + sizeof out->owner) {
            throw Failure(EC_INVALID_ARGUMENT, "out is too small to be closed").advising("start it with EC_INIT");
        }
        const size_t count = bundle->bundle.info().graph_count;
        if (number >= count) {
            throw Failure(EC_INVALID_ARGUMENT,
                          "there is no graph " + std::to_string(number) + ", of " + std::to_string(count));
        }
        to_caller(bundle->bundle.graph(number).release()->view, out);
    });
}

void ec_graph_close(ec_graph_data *graph) {
    if (graph == nullptr) return;
    delete static_cast<GraphContents *>(graph->owner);
    graph->owner = nullptr;
}
