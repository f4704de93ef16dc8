// ONNX Runtime as an engine: an ec_engine table like one of the caller's.
#pragma once

#include <memory>
#include <string>

#include "edgecodec/edgecodec.h"
#include "onnxruntime/calls.h"
#include "onnxruntime/library.h"
#include "onnxruntime/provider.h"

namespace edgecodec {

// As ec_codec_options has them; NULL where nothing is said.
struct OnnxRuntimeChoice {
    const char *engine = nullptr;  // "onnxruntime", also for NULL, or "onnxruntime:PROVIDER"
    const char *library = nullptr;
    const char *provider_library = nullptr;
    const char *device = nullptr;
};

class OnnxRuntimeEngine {
public:
    // Throws Failure(EC_ENGINE_UNAVAILABLE), or EC_INVALID_ARGUMENT for an engine of another name.
    explicit OnnxRuntimeEngine(const OnnxRuntimeChoice &choice);
    OnnxRuntimeEngine(const OnnxRuntimeEngine &) = delete;
    OnnxRuntimeEngine &operator=(const OnnxRuntimeEngine &) = delete;

    // Its functions work as long as this object lives. Graphs are unloaded before.
    const ec_engine &table() const { return table_; }

private:
    struct Graph;

    Graph *load(const ec_job *job, const ec_graph_data &data, const ec_engine_options &options);
    ort::Owned<ort::SessionOptions> settings(const ec_graph_data &data, const ec_engine_options &options) const;
    void run(const ec_job *job, const Graph &graph, const ec_tensor *inputs, size_t input_count, ec_tensor *outputs,
             size_t output_count);
    ort::Owned<ort::Value> value(const ec_tensor &tensor, const Graph &graph) const;

    const std::string name_, provider_name_;
    ort::Library library_;
    ort::Provider provider_;
    ort::Calls calls_;
    ort::Owned<ort::MemoryInfo> memory_;
    ec_engine table_;
};

// Throws Failure(EC_ENGINE_UNAVAILABLE), or EC_INVALID_ARGUMENT for an engine of another name.
inline std::unique_ptr<OnnxRuntimeEngine> open_onnxruntime(const OnnxRuntimeChoice &choice) {
    return std::make_unique<OnnxRuntimeEngine>(choice);
}

}  // namespace edgecodec
