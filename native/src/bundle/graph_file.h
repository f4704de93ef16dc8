// The ONNX graphs of a bundle, read before any engine sees them: where their weights lie, and that nothing in them leads
// out of the bundle. docs/format.md, section 5.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace edgecodec {

// The values of one initializer: `size` bytes from `offset` on in the file `location`, a plain relative path.
struct WeightsElsewhere {
    std::string_view location;  // in the graph's own bytes
    uint64_t offset;
    uint64_t size;
    std::string_view name;  // of the initializer
    int32_t type;           // of its elements, in ONNX's numbers
    std::vector<int64_t> dimensions;
};

// In the order of the file. Throws Failure(EC_BAD_MODEL), which names the place and the byte, for what is not an ONNX
// file, for what other readers could read in another way, and for what may not be in a bundle.
std::vector<WeightsElsewhere> read_graph(const uint8_t *data, size_t size);

}  // namespace edgecodec
