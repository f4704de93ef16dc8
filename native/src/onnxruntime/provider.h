// Execution providers: what in ONNX Runtime runs a graph on a device.
#pragma once

#include <string>

#include "onnxruntime/library.h"

namespace edgecodec::ort {

// Whether a provider, by its name as below, computes on a GPU.
bool is_gpu(const std::string &name);

class Provider {
public:
    // name: "" for the processor, "cuda", "tensorrt", or the name of another provider, with or without
    // "ExecutionProvider" at its end, and in whatever case. plugin: path of a library that holds it, or "" where ONNX
    // Runtime itself must have it. The first device of a plugin's provider is taken.
    //
    // Throws Failure(EC_ENGINE_UNAVAILABLE) where there is no such provider: nothing else ever takes its place.
    Provider(const Library &library, const std::string &name, const std::string &plugin);

    // Lets sessions with these options run on it. Throws Failure(EC_ENGINE_UNAVAILABLE) where it cannot start.
    void append_to(SessionOptions *options) const;
    // "cpu", "cuda", "tensorrt", or its name as it was given.
    const std::string &device() const { return device_; }

private:
    void find_built_in();
    void find_in_plugin(const std::string &path);

    const Library &library_;
    const std::string name_, device_;
    const EpDevice *plugin_device_ = nullptr;  // the environment's
    std::string provider_;                     // ONNX Runtime's name for it, "" for the processor
};

}  // namespace edgecodec::ort
