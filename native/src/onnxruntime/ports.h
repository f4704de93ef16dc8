// Inputs and outputs of a session, compared with what the index says of the graph.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "edgecodec/edgecodec.h"
#include "onnxruntime/api.h"

namespace edgecodec::ort {

// A knob's input: one value, of the rank that the graph declares.
struct KnobInput {
    std::string name;
    size_t rank;
};

// ONNX Runtime's number for a type.
int32_t element_type(ec_type type);

// The inputs that are knobs. Throws Failure(EC_ENGINE_FAILED) where the session has not exactly the inputs and outputs
// that the description promises, each a tensor of the promised type.
std::vector<KnobInput> check_ports(const Api &api, const Session *session, const ec_graph &graph);

// Names as messages list them: "['r', 'z']", in alphabetical order.
std::string listed(std::vector<std::string> names);

}  // namespace edgecodec::ort
