// What ONNX Runtime's providers for GPUs are told, where their defaults do not suit pictures of many sizes. Python's
// package says the same (engines/edgecodec_engines/onnxruntime_options.py), which tests compare.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "edgecodec/edgecodec.h"

namespace edgecodec::ort {

using ProviderOptions = std::vector<std::pair<std::string, std::string>>;

ProviderOptions cuda_options();

// For a session with this graph. version: of ONNX Runtime. Makes the folder of this user's where TensorRT keeps what it
// has compiled. Throws Failure(EC_ENGINE_UNAVAILABLE) where there can be none, or where others may write to it.
ProviderOptions tensorrt_options(const ec_graph_data &data, const std::string &version);
// The pictures that these options let it take.
ec_shape_range tensorrt_shapes(const ec_graph &graph);

}  // namespace edgecodec::ort
