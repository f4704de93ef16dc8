#include "onnxruntime/engine.h"

#include <climits>
#include <cstring>
#include <vector>

#include "onnxruntime/ports.h"
#include "support/caller_struct.h"
#include "support/status.h"

namespace edgecodec {

using namespace ort;

namespace {

constexpr char kName[] = "onnxruntime";

std::string text(const char *given) { return given == nullptr ? "" : given; }

// What follows "onnxruntime:", or nothing.
std::string provider_name(const std::string &engine) {
    if (engine == kName) return {};
    const std::string prefix = std::string(kName) + ":";
    if (engine.compare(0, prefix.size(), prefix) != 0 || engine.size() == prefix.size()) {
        throw Failure(EC_INVALID_ARGUMENT, "there is no engine called '" + engine + "'")
            .advising("give \"onnxruntime\", or \"onnxruntime:\" and an execution provider");
    }
    return engine.substr(prefix.size());
}

// The last part of a graph's file name.
std::string file_name(const ec_graph &graph) {
    const std::string path = text(graph.file);
    return path.substr(path.rfind('/') + 1);
}

// "(1, 8, 2, 3)" of the dimensions after `mark` in a message, which are "{1,8,2,3}"; or nothing.
std::string shape_after(const std::string &message, const std::string &mark) {
    const size_t mark_at = message.find(mark + "{");
    if (mark_at == std::string::npos) return {};
    const size_t from = mark_at + mark.size() + 1, to = message.find('}', from);
    if (to == std::string::npos) return {};
    std::string shape = "(";
    for (const char letter : message.substr(from, to - from)) shape += letter == ',' ? ", " : std::string(1, letter);
    return shape + (shape.find(',') == std::string::npos && to > from ? ",)" : ")");
}

std::string shape_of(const ec_tensor &tensor) {
    std::string shape = "(";
    for (uint32_t i = 0; i < tensor.rank; ++i) shape += (i == 0 ? "" : ", ") + std::to_string(tensor.shape[i]);
    return shape + (tensor.rank == 1 ? ",)" : ")");
}

const char *type_name(ec_type type) {
    switch (type) {
        case EC_UINT8: return "uint8";
        case EC_INT16: return "int16";
        case EC_INT64: return "int64";
        default: return "float32";
    }
}

// What a failed run means. ONNX Runtime's message about an output of another shape than the memory that it was given
// names both shapes, but not the output.
Failure run_failure(const CallFailed &failed, const ec_tensor *outputs, size_t count) {
    if (failed.out_of_memory()) return Failure(EC_NO_MEMORY, "there is not enough memory to run the graph");
    const std::string expected = shape_after(failed.message, "Current shape:");
    const std::string given = shape_after(failed.message, "Requested shape:");
    for (size_t i = 0; i < count && !given.empty(); ++i) {
        if (shape_of(outputs[i]) != expected) continue;
        const std::string type = type_name(outputs[i].type);
        return Failure(EC_ENGINE_FAILED,
                       "gave " + type + " " + given + " for '" + outputs[i].name + "', not " + type + " " + expected);
    }
    return Failure(EC_ENGINE_FAILED, "ONNX Runtime failed: " + failed.first_line());
}

std::vector<Value *> pointers(const std::vector<Owned<Value>> &values) {
    std::vector<Value *> all;
    for (const Owned<Value> &value : values) all.push_back(value.get());
    return all;
}

}  // namespace

struct OnnxRuntimeEngine::Graph {
    Owned<Session> session;
    std::vector<KnobInput> knobs;
};

OnnxRuntimeEngine::OnnxRuntimeEngine(const OnnxRuntimeChoice &choice)
    : name_(choice.engine == nullptr ? kName : choice.engine),
      provider_name_(provider_name(name_)),
      library_(text(choice.library)),
      provider_(library_, provider_name_, text(choice.provider_library)),
      calls_(library_.api(), library_.has(22)),
      memory_(library_.api().make(CreateCpuMemoryInfo, ReleaseMemoryInfo, kDeviceAllocator, kDefaultMemory)) {
    table_.name = name_.c_str();
    table_.context = this;
    table_.load = [](void *context, const ec_graph_data *data, const ec_engine_options *options, ec_loaded_graph *out,
                     ec_error *error) {
        return guarded(error, [&] {
            const auto engine = static_cast<OnnxRuntimeEngine *>(context);
            check_struct(data, "data");
            check_struct(out, "out");
            ec_loaded_graph loaded{};
            copy_text(loaded.device, engine->provider_.device().c_str());
            copy_text(loaded.version, engine->library_.version().c_str());
            const auto given = from_caller(data, "data");
            loaded.graph =
                located(file_name(*given.graph), [&] { return engine->load(given, from_caller(options, "options")); });
            to_caller(loaded, out);
        });
    };
    table_.run = [](void *context, void *graph, const ec_tensor *inputs, size_t input_count, ec_tensor *outputs,
                    size_t output_count, ec_error *error) {
        return guarded(error, [&] {
            static_cast<OnnxRuntimeEngine *>(context)->run(*static_cast<const Graph *>(graph), inputs, input_count,
                                                           outputs, output_count);
        });
    };
    table_.cancel = [](void *context) { static_cast<OnnxRuntimeEngine *>(context)->calls_.cancel(); };
    table_.unload = [](void *, void *graph) { delete static_cast<Graph *>(graph); };
}

Owned<SessionOptions> OnnxRuntimeEngine::settings(const ec_graph_data &data, const ec_engine_options &options) const {
    const Api &api = library_.api();
    Owned<SessionOptions> made = api.make(CreateSessionOptions, ReleaseSessionOptions);
    api.call(SetSessionLogSeverityLevel, made.get(), kFatal);
    // The arena keeps up to twice what a call needs, and with a memory pattern as much again. Without the arena, a
    // pattern allocates one block for all tensors of a call, which is much faster than a block for each.
    if (options.low_memory) {
        api.call(DisableCpuMemArena, made.get());
        api.call(EnableMemPattern, made.get());
    } else {
        api.call(EnableCpuMemArena, made.get());
        api.call(DisableMemPattern, made.get());
    }
    // Threads that spin after a call would take the processor from the entropy stage of the next picture.
    api.call(AddSessionConfigEntry, made.get(), "session.force_spinning_stop", "1");
    if (options.threads > 0) api.call(SetIntraOpNumThreads, made.get(), static_cast<int>(options.threads));
    api.call(AddSessionConfigEntry, made.get(), "session.load_model_format", "ONNX");
    // Where it would look for weights that it was not given: in no folder, rather than in the current one.
    api.call(AddSessionConfigEntry, made.get(), "session.model_external_initializers_file_folder_path", "/dev/null");
    std::vector<const char *> names;
    std::vector<char *> contents;
    std::vector<size_t> sizes;
    for (size_t i = 0; i < data.weight_count; ++i) {
        const ec_weights &weights = data.weights[i];
        names.push_back(weights.location);
        // Not written to: ONNX Runtime copies them.
        contents.push_back(static_cast<char *>(const_cast<void *>(weights.data)));
        sizes.push_back(weights.size);
    }
    if (!names.empty()) {
        api.call(AddExternalInitializersFromFilesInMemory, made.get(), names.data(), contents.data(), sizes.data(),
                 names.size());
    }
    return made;
}

OnnxRuntimeEngine::Graph *OnnxRuntimeEngine::load(const ec_graph_data &data, const ec_engine_options &options) {
    if (options.threads > INT_MAX) throw Failure(EC_INVALID_ARGUMENT, "too many threads");
    const Api &api = library_.api();
    bool cancelled = false;
    try {
        const Owned<SessionOptions> made = settings(data, options);
        provider_.append_to(made.get());
        const Calls::Call call(calls_, made.get());
        try {
            auto graph = std::make_unique<Graph>(
                Graph{api.make(CreateSessionFromArray, ReleaseSession,
                               static_cast<const Environment *>(library_.environment()), data.data, data.size,
                               static_cast<const SessionOptions *>(made.get())),
                      {}});
            cancelled = call.cancelled();
            if (!cancelled) {
                graph->knobs = check_ports(api, graph->session.get(), *data.graph);
                return graph.release();
            }
        } catch (const CallFailed &) {
            cancelled = call.cancelled();
            if (!cancelled) throw;
        }
    } catch (const CallFailed &failed) {
        if (failed.out_of_memory()) throw Failure(EC_NO_MEMORY, "there is not enough memory for the graph");
        throw Failure(EC_ENGINE_FAILED, "ONNX Runtime refuses the graph: " + failed.first_line());
    }
    throw Failure(EC_CANCELLED, "was cancelled");
}

Owned<Value> OnnxRuntimeEngine::value(const ec_tensor &tensor, const Graph &graph) const {
    size_t rank = tensor.rank;
    const int64_t *shape = tensor.shape;
    static constexpr int64_t kOnes[] = {1, 1, 1, 1, 1, 1, 1, 1};
    for (const KnobInput &knob : graph.knobs) {
        if (knob.name == tensor.name) {
            rank = knob.rank;
            shape = kOnes;
        }
    }
    return library_.api().make(CreateTensorWithDataAsOrtValue, ReleaseValue,
                               static_cast<const MemoryInfo *>(memory_.get()), tensor.data, tensor.bytes, shape, rank,
                               element_type(tensor.type));
}

void OnnxRuntimeEngine::run(const Graph &graph, const ec_tensor *inputs, size_t input_count, ec_tensor *outputs,
                            size_t output_count) {
    const Api &api = library_.api();
    std::vector<const char *> input_names, output_names;
    std::vector<Owned<Value>> given, wanted;
    bool cancelled = false;
    try {
        for (size_t i = 0; i < input_count; ++i) {
            input_names.push_back(inputs[i].name);
            given.push_back(value(inputs[i], graph));
        }
        for (size_t i = 0; i < output_count; ++i) {
            output_names.push_back(outputs[i].name);
            wanted.push_back(value(outputs[i], graph));
        }
        const Owned<RunOptions> options = api.make(CreateRunOptions, ReleaseRunOptions);
        api.call(RunOptionsSetRunLogSeverityLevel, options.get(), kFatal);
        const Calls::Call call(calls_, options.get());
        try {
            const std::vector<Value *> from = pointers(given);
            std::vector<Value *> to = pointers(wanted);
            api.call(Run, graph.session.get(), static_cast<const RunOptions *>(options.get()), input_names.data(),
                     static_cast<const Value *const *>(from.data()), from.size(), output_names.data(), to.size(),
                     to.data());
            cancelled = call.cancelled();
        } catch (const CallFailed &) {
            cancelled = call.cancelled();
            if (!cancelled) throw;
        }
    } catch (const CallFailed &failed) {
        throw run_failure(failed, outputs, output_count);
    }
    if (cancelled) throw Failure(EC_CANCELLED, "was cancelled");
}

}  // namespace edgecodec
