// A plugin of ONNX Runtime with a provider for tests. It takes the processor as two devices. Where LEVEL is given, it
// takes whole graphs, and every sample of the image that comes out has this value; else it takes no node.
//
// The interface for plugins, of ONNX Runtime 1.23 and newer, is declared by hand as in native/src/onnxruntime/abi.h.
#include <cstdint>
#include <cstring>
#include <vector>

#include "onnxruntime/api.h"

using namespace edgecodec::ort;

namespace {

constexpr char kName[] = "TestExecutionProvider", kVendor[] = "edgecodec", kVersion[] = "1.0.0";
constexpr uint32_t kInterface = 23;
#ifdef LEVEL
constexpr bool kTakesNodes = true;
constexpr int kLevel = LEVEL;
#else
constexpr bool kTakesNodes = false;
constexpr int kLevel = 0;
#endif
constexpr int64_t kStride = 64;  // pixels of the image for a row or column of the graph's first input

struct Factory;
struct Provider;
struct Graph;
struct Node;
struct KeyValuePairs;
struct ComputeInfo;

constexpr Slot<const void *const *(), 317> GetEpApi;
constexpr Slot<Status *(const Graph *, size_t *out), 344> Graph_GetNumNodes;
constexpr Slot<Status *(const Graph *, const Node **out, size_t count), 345> Graph_GetNodes;
// Of the table that GetEpApi returns.
constexpr Slot<
    Status *(Factory *, const HardwareDevice *, const KeyValuePairs *, const KeyValuePairs *, EpDevice **out), 0>
    CreateEpDevice;
constexpr Slot<Status *(void *support, const Node *const *, size_t count, const void *options), 2> AddNodesToFuse;

struct Factory {
    uint32_t version;
    const char *(*get_name)(const Factory *);
    const char *(*get_vendor)(const Factory *);
    Status *(*get_devices)(Factory *, const HardwareDevice *const *, size_t, EpDevice **, size_t, size_t *);
    Status *(*create)(Factory *, const HardwareDevice *const *, const KeyValuePairs *const *, size_t, const void *,
                      const void *, Provider **);
    void (*release)(Factory *, Provider *);
    uint32_t (*get_vendor_id)(const Factory *);
    const char *(*get_version)(const Factory *);
    void *validate_compiled_model, *create_allocator, *release_allocator;
    Status *(*create_data_transfer)(Factory *, void **);
    bool (*is_stream_aware)(const Factory *);
    void *create_stream;
};

struct Provider {
    uint32_t version;
    const char *(*get_name)(const Provider *);
    Status *(*get_capability)(Provider *, const Graph *, void *support);
    Status *(*compile)(Provider *, const Graph **, const Node **, size_t, ComputeInfo **, Node **);
    void (*release_compute_infos)(Provider *, ComputeInfo **, size_t);
    void *not_needed[8];
};

struct ComputeInfo {
    uint32_t version;
    Status *(*create_state)(ComputeInfo *, void *, void **);
    Status *(*compute)(ComputeInfo *, void *, KernelContext *);
    void (*release_state)(ComputeInfo *, void *);
};

const void *const *table = nullptr;

Status *compute(ComputeInfo *, void *, KernelContext *context) {
    const Api api(table);
    const Value *input = nullptr;
    api.call(KernelContext_GetInput, context, size_t{0}, &input);
    ShapeAndType *found = nullptr;
    api.call(GetTensorTypeAndShape, input, &found);
    const Owned<ShapeAndType> description(found, api[ReleaseTensorTypeAndShapeInfo]);
    int64_t shape[4];
    api.call(GetDimensions, static_cast<const ShapeAndType *>(found), shape, size_t{4});
    const int64_t image[] = {shape[2] * kStride, shape[3] * kStride, 3};
    Value *output = nullptr;
    api.call(KernelContext_GetOutput, context, size_t{0}, image, size_t{3}, &output);
    void *data = nullptr;
    api.call(GetTensorMutableData, output, &data);
    std::memset(data, kLevel, static_cast<size_t>(image[0] * image[1] * image[2]));
    return nullptr;
}

Status *get_capability(Provider *, const Graph *graph, void *support) {
    if (!kTakesNodes) return nullptr;
    const Api api(table);
    size_t count = 0;
    api.call(Graph_GetNumNodes, graph, &count);
    std::vector<const Node *> nodes(count);
    api.call(Graph_GetNodes, graph, nodes.data(), count);
    const Api providers(api[GetEpApi]());
    return providers[AddNodesToFuse](support, nodes.data(), count, nullptr);
}

Status *compile(Provider *, const Graph **, const Node **, size_t count, ComputeInfo **out, Node **) {
    for (size_t i = 0; i < count; ++i) {
        out[i] = new ComputeInfo{kInterface,
                                 [](ComputeInfo *, void *, void **state) -> Status * {
                                     *state = nullptr;
                                     return nullptr;
                                 },
                                 compute, [](ComputeInfo *, void *) {}};
    }
    return nullptr;
}

Factory factory{
    kInterface,
    [](const Factory *) -> const char * { return kName; },
    [](const Factory *) -> const char * { return kVendor; },
    [](Factory *self, const HardwareDevice *const *hardware, size_t count, EpDevice **out, size_t, size_t *written) {
        const Api api(table), providers(api[GetEpApi]());
        *written = 0;
        for (size_t i = 0; i < count; ++i) {
            if (api[HardwareDevice_Type](hardware[i]) != 0) continue;
            for (int copy = 0; copy < 2; ++copy) {
                Status *status = providers[CreateEpDevice](self, hardware[i], nullptr, nullptr, &out[*written]);
                if (status != nullptr) return status;
                ++*written;
            }
            break;
        }
        return static_cast<Status *>(nullptr);
    },
    [](Factory *, const HardwareDevice *const *, const KeyValuePairs *const *, size_t, const void *, const void *,
       Provider **out) {
        *out = new Provider{kInterface,
                            [](const Provider *) -> const char * { return kName; },
                            get_capability,
                            compile,
                            [](Provider *, ComputeInfo **infos, size_t count) {
                                for (size_t i = 0; i < count; ++i) delete infos[i];
                            },
                            {}};
        return static_cast<Status *>(nullptr);
    },
    [](Factory *, Provider *provider) { delete provider; },
    [](const Factory *) { return uint32_t{0}; },
    [](const Factory *) -> const char * { return kVersion; },
    nullptr,
    nullptr,
    nullptr,
    [](Factory *, void **transfer) {
        *transfer = nullptr;
        return static_cast<Status *>(nullptr);
    },
    [](const Factory *) { return false; },
    nullptr};

}  // namespace

extern "C" Status *CreateEpFactories(const char *, const ApiBase *base, const void *, Factory **out, size_t,
                                     size_t *written) {
    table = base->get_api(kInterface);
    *out = &factory;
    *written = 1;
    return nullptr;
}

extern "C" Status *ReleaseEpFactory(Factory *) { return nullptr; }
