// The C function that reads a graph.
#include "bundle/graph_file.h"
#include "edgecodec/core.h"
#include "support/status.h"

using namespace edgecodec;

ec_status ec_core_graph_read(const uint8_t *data, size_t size, ec_core_weights *weights, size_t capacity, size_t *count,
                             ec_error *error) {
    return guarded(error, [&] {
        if ((data == nullptr && size > 0) || count == nullptr || (weights == nullptr && capacity > 0)) {
            throw Failure(EC_INVALID_ARGUMENT, "data, weights or count missing");
        }
        const std::vector<WeightsElsewhere> found = read_graph(data, size);
        *count = found.size();
        for (size_t i = 0; i < found.size() && i < capacity; ++i) {
            const uint8_t *location = reinterpret_cast<const uint8_t *>(found[i].location.data());
            weights[i] = {{static_cast<uint64_t>(location - data), found[i].location.size()},
                          {found[i].offset, found[i].size}};
        }
    });
}
