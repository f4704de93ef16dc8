// Execution providers: what in ONNX Runtime runs a graph on a device.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "edgecodec/edgecodec.h"
#include "onnxruntime/devices.h"
#include "onnxruntime/library.h"

namespace edgecodec::ort {

// Whether a provider, by its name as below, computes on a GPU.
bool is_gpu(const std::string &name);

// As ec_codec_options has them, the name without "onnxruntime:"; empty where nothing is said.
struct ProviderChoice {
    // "cuda", "tensorrt", or the name of another provider; "" for the processor.
    std::string name;
    // Path of a plugin that has it, or "" where ONNX Runtime itself must.
    std::string plugin;
    std::string device;
};

class Provider {
public:
    // Throws Failure(EC_ENGINE_UNAVAILABLE) where there is no such provider or device: nothing else ever takes its
    // place.
    Provider(const Library &library, const ProviderChoice &choice);

    // Lets sessions with these options run this graph on it. Throws Failure(EC_ENGINE_UNAVAILABLE) where it cannot
    // start.
    void append_to(SessionOptions *options, const ec_graph_data &data) const;
    // The pictures that it takes of a graph; none for all.
    std::vector<ec_shape_range> shapes(const ec_graph &graph) const;
    // "cpu", "cuda", "tensorrt", or its name as it was given and the device, as in "openvino gpu".
    const std::string &device() const { return device_; }

private:
    void find_built_in();
    void find_in_plugin(const ProviderChoice &choice);

    const Library &library_;
    const std::string name_;
    std::string device_;
    std::optional<Device> plugin_device_;
    std::string provider_;  // ONNX Runtime's name for it, "" for the processor
};

}  // namespace edgecodec::ort
