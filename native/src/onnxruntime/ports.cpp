#include "onnxruntime/ports.h"

#include <algorithm>
#include <cstdio>

#include "support/status.h"

namespace edgecodec::ort {
namespace {

// What values of a port are, in ONNX Runtime's words: "tensor(float)", "a sequence".
struct Found {
    std::string name, type;
    size_t rank;
};

// By ONNX Runtime's number.
constexpr const char *kTypes[] = {"undefined", "float",  "uint8",     "int8",       "uint16",  "int16",
                                  "int32",     "int64",  "string",    "bool",       "float16", "double",
                                  "uint32",    "uint64", "complex64", "complex128", "bfloat16"};
// Ranks beyond this are no way to write a single number.
constexpr size_t kMostRank = 8;

std::string tensor_of(int32_t type) {
    const bool known = type >= 0 && static_cast<size_t>(type) < std::size(kTypes);
    return "tensor(" + (known ? kTypes[type] : "type " + std::to_string(type)) + ")";
}

std::string kind_of(int32_t kind) {
    switch (kind) {
        case kSequence: return "a sequence";
        case kMap: return "a map";
        case kSparseTensor: return "a sparse tensor";
        case kOptional: return "an optional";
        default: return "no tensor";
    }
}

std::string quoted(const std::string &name) {
    std::string text = "'";
    for (const char letter : name) {
        const auto byte = static_cast<unsigned char>(letter);
        if (byte < ' ' || byte == 127) {
            char escaped[5];
            std::snprintf(escaped, sizeof escaped, "\\x%02x", byte);
            text += escaped;
        } else {
            if (letter == '\'' || letter == '\\') text += '\\';
            text += letter;
        }
    }
    return text + "'";
}

Found describe(const Api &api, char *name, Allocator *allocator, const Owned<TypeInfo> &info) {
    Found found{name, "", 0};
    api.call(AllocatorFree, allocator, name);
    int32_t kind = 0;
    api.call(GetOnnxTypeFromTypeInfo, info.get(), &kind);
    if (kind != kTensor) {
        found.type = kind_of(kind);
        return found;
    }
    const ShapeAndType *shape = nullptr;  // the info's
    api.call(CastTypeInfoToTensorInfo, info.get(), &shape);
    int32_t type = 0;
    api.call(GetTensorElementType, shape, &type);
    api.call(GetDimensionsCount, shape, &found.rank);
    found.type = tensor_of(type);
    return found;
}

template <class Count, class Name, class Type>
std::vector<Found> all(const Api &api, const Session *session, Count count, Name name, Type type) {
    Allocator *allocator = nullptr;
    api.call(GetAllocatorWithDefaultOptions, &allocator);
    size_t size = 0;
    api.call(count, session, &size);
    std::vector<Found> found;
    for (size_t i = 0; i < size; ++i) {
        const Owned<TypeInfo> info = api.make(type, ReleaseTypeInfo, session, i);
        char *text = nullptr;
        api.call(name, session, i, allocator, &text);
        found.push_back(describe(api, text, allocator, info));
    }
    return found;
}

// The found ports in the order of the promised ones.
std::vector<Found> check(const char *role, const ec_port *const *promised, size_t count, std::vector<Found> found) {
    std::vector<std::string> promised_names, found_names;
    for (size_t i = 0; i < count; ++i) promised_names.emplace_back(promised[i]->name);
    for (const Found &port : found) found_names.push_back(port.name);
    const std::string promised_list = listed(promised_names), found_list = listed(found_names);
    if (promised_list != found_list) {
        throw Failure(EC_ENGINE_FAILED, "the index promises " + std::string(role) + "s " + promised_list +
                                            ", the graph has " + found_list);
    }
    std::vector<Found> ordered;
    for (size_t i = 0; i < count; ++i) {
        const std::string name = promised[i]->name;
        ordered.push_back(*std::find_if(found.begin(), found.end(), [&](auto &port) { return port.name == name; }));
        const std::string type = tensor_of(element_type(promised[i]->type));
        if (ordered[i].type != type) {
            throw Failure(EC_ENGINE_FAILED,
                          std::string(role) + " " + quoted(name) + " is " + ordered[i].type + ", not " + type);
        }
    }
    return ordered;
}

}  // namespace

int32_t element_type(ec_type type) {
    switch (type) {
        case EC_UINT8: return kUint8;
        case EC_INT16: return kInt16;
        case EC_INT64: return kInt64;
        default: return kFloat;
    }
}

std::string listed(std::vector<std::string> names) {
    std::sort(names.begin(), names.end());
    std::string list;
    for (const std::string &name : names) list += (list.empty() ? "" : ", ") + quoted(name);
    return "[" + list + "]";
}

std::vector<KnobInput> check_ports(const Api &api, const Session *session, const ec_graph &graph) {
    const std::vector<Found> inputs =
        check("input", graph.inputs, graph.input_count,
              all(api, session, SessionGetInputCount, SessionGetInputName, SessionGetInputTypeInfo));
    check("output", graph.outputs, graph.output_count,
          all(api, session, SessionGetOutputCount, SessionGetOutputName, SessionGetOutputTypeInfo));
    std::vector<KnobInput> knobs;
    for (size_t i = 0; i < graph.input_count; ++i) {
        if (graph.inputs[i]->role != EC_KNOB) continue;
        if (inputs[i].rank > kMostRank) {
            throw Failure(EC_ENGINE_FAILED, "input " + quoted(inputs[i].name) + " has " +
                                                std::to_string(inputs[i].rank) + " dimensions, for one number");
        }
        knobs.push_back({inputs[i].name, inputs[i].rank});
    }
    return knobs;
}

}  // namespace edgecodec::ort
