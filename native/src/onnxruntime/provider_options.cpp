#include "onnxruntime/provider_options.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <numeric>

#include "support/sha256.h"
#include "support/status.h"

namespace edgecodec::ort {
namespace {

struct Size {
    uint32_t height, width;
};

// The sizes that TensorRT compiles a graph for, in pixels: it is fastest for the typical one, and larger pictures are
// cut into windows.
constexpr Size kSmallest{64, 64}, kTypical{512, 768}, kLargest{1088, 1920};
// Bytes of GPU memory that a layer may use beside its tensors. The default differs between versions of ONNX Runtime.
constexpr char kWorkspace[] = "1073741824";
constexpr size_t kDigits = 32;  // of a hash in names of folders

uint32_t up(uint32_t side, uint32_t step) { return (side + step - 1) / step * step; }
uint32_t down(uint32_t side, uint32_t step) { return std::max(side / step, 1u) * step; }

// The sides of pictures are multiples of this, in pixels.
uint32_t step_of(const ec_graph &graph) {
    uint32_t step = 1;
    for (size_t i = 0; i < graph.input_count; ++i) step = std::lcm(step, std::max(graph.inputs[i]->stride, 1u));
    for (size_t i = 0; i < graph.output_count; ++i) step = std::lcm(step, std::max(graph.outputs[i]->stride, 1u));
    return step;
}

// Of every input whose shape depends on the picture's, as the provider reads them.
std::string shapes(const ec_graph &graph, Size size) {
    std::string list;
    for (size_t i = 0; i < graph.input_count; ++i) {
        const ec_port &port = *graph.inputs[i];
        if (port.role == EC_KNOB || port.role == EC_SIZE) continue;
        const uint32_t stride = std::max(port.stride, 1u);
        const std::string rows = std::to_string(size.height / stride), columns = std::to_string(size.width / stride);
        const std::string channels = std::to_string(port.channels);
        list += (list.empty() ? "" : ",") + std::string(port.name) + ":";
        list += port.role == EC_IMAGE ? rows + "x" + columns + "x" + channels
                                      : "1x" + channels + "x" + rows + "x" + columns;
    }
    return list;
}

Digest hash(const void *data, size_t size) {
    Sha256 hash;
    hash.update(static_cast<const uint8_t *>(data), size);
    return hash.finish();
}

// Of a graph's bytes and of its weights in other files, as a hash of hashes: no byte passes from one to the next.
std::string digest(const ec_graph_data &data) {
    std::vector<const ec_weights *> weights;
    for (size_t i = 0; i < data.weight_count; ++i) weights.push_back(&data.weights[i]);
    std::sort(weights.begin(), weights.end(), [](const ec_weights *one, const ec_weights *other) {
        return std::strcmp(one->location, other->location) < 0;
    });
    Sha256 whole;
    const auto add = [&](const void *bytes, size_t size) {
        const Digest part = hash(bytes, size);
        whole.update(part.data(), part.size());
    };
    add(data.data, data.size);
    for (const ec_weights *each : weights) {
        add(each->location, std::strlen(each->location));
        add(each->data, each->size);
    }
    std::string text;
    for (const uint8_t byte : whole.finish()) {
        text += "0123456789abcdef"[byte >> 4];
        text += "0123456789abcdef"[byte & 15];
    }
    return text.substr(0, kDigits);
}

Failure no_folder(const std::string &why, const std::string &path) {
    return Failure(EC_ENGINE_UNAVAILABLE, why).at(path).advising("set XDG_CACHE_HOME to a folder of your own");
}

std::string cache_of_user() {
    if (const char *named = std::getenv("XDG_CACHE_HOME"); named != nullptr && named[0] == '/') return named;
    if (const char *home = std::getenv("HOME"); home != nullptr && home[0] == '/') return std::string(home) + "/.cache";
    throw Failure(EC_ENGINE_UNAVAILABLE, "there is no home folder for what TensorRT compiles")
        .advising("set HOME or XDG_CACHE_HOME");
}

// Makes a folder and those above it. What lies in it may be run, so nobody else may write to it.
void make_private(const std::string &path) {
    for (size_t slash = path.find('/', 1);; slash = path.find('/', slash + 1)) {
        const std::string part = path.substr(0, slash);
        if (mkdir(part.c_str(), 0700) != 0 && errno != EEXIST) throw no_folder(std::strerror(errno), part);
        if (slash == std::string::npos) break;
    }
    struct stat found{};
    if (stat(path.c_str(), &found) != 0) throw no_folder(std::strerror(errno), path);
    if (!S_ISDIR(found.st_mode)) throw no_folder("is not a folder", path);
    if (found.st_uid != geteuid() && found.st_uid != 0) throw no_folder("belongs to another user", path);
    if ((found.st_mode & (S_IWGRP | S_IWOTH)) != 0) throw no_folder("can be written to by other users", path);
}

}  // namespace

ProviderOptions cuda_options() {
    return {
        // The default, EXHAUSTIVE, measures every convolution anew for every size of picture.
        {"cudnn_conv_algo_search", "HEURISTIC"},
        // The default doubles what is kept whenever it does not suffice.
        {"arena_extend_strategy", "kSameAsRequested"},
        // Its products have 10 bits, so that a graph in fp32 would be no more exact than one in fp16, which is faster.
        {"use_tf32", "0"},
    };
}

ProviderOptions tensorrt_options(const ec_graph_data &data, const std::string &version) {
    const ec_graph &graph = *data.graph;
    // It names files by the structure of a graph, which graphs that differ in their weights share. So each graph has a
    // folder of its own.
    const std::string folder = cache_of_user() + "/edgecodec/onnxruntime/" + version;
    const std::string engines = folder + "/" + digest(data), timings = folder + "/timings";
    make_private(engines);
    make_private(timings);
    const uint32_t step = step_of(graph);
    const std::string precision = graph.precision == nullptr ? "fp32" : graph.precision;
    return {
        {"trt_engine_cache_enable", "1"},
        {"trt_engine_cache_path", engines},
        {"trt_timing_cache_enable", "1"},
        {"trt_timing_cache_path", timings},
        {"trt_max_workspace_size", kWorkspace},
        // Kernels in half are compiled with the flag alone, and with it a graph in fp32 would get some too.
        {"trt_fp16_enable", precision == "fp32" ? "0" : "1"},
        {"trt_int8_enable", precision == "int8" ? "1" : "0"},
        // Otherwise it compiles again for every picture that is larger or smaller than those before.
        {"trt_profile_min_shapes", shapes(graph, {up(kSmallest.height, step), up(kSmallest.width, step)})},
        {"trt_profile_opt_shapes", shapes(graph, {down(kTypical.height, step), down(kTypical.width, step)})},
        {"trt_profile_max_shapes", shapes(graph, {down(kLargest.height, step), down(kLargest.width, step)})},
    };
}

ec_shape_range tensorrt_shapes(const ec_graph &graph) {
    const uint32_t step = step_of(graph);
    return {{up(kSmallest.height, step), down(kLargest.height, step), step},
            {up(kSmallest.width, step), down(kLargest.width, step), step}};
}

}  // namespace edgecodec::ort
