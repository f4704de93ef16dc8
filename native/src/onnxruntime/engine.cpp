#include "onnxruntime/engine.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "bundle/graph_file.h"
#include "onnxruntime/ports.h"
#include "support/caller_struct.h"
#include "support/processors.h"
#include "support/status.h"

namespace edgecodec {

using namespace ort;

namespace {

// Bytes of weights from which on the optimiser, which copies them, takes longer than it saves for one picture.
constexpr size_t kLargeWeights = size_t{64} << 20;
constexpr int32_t kNoOptimiser = 0;
constexpr char kName[] = "onnxruntime", kCancelled[] = "was cancelled";

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

bool has_large_weights(const ec_graph_data &data) {
    size_t bytes = 0;
    for (size_t i = 0; i < data.weight_count; ++i) bytes += data.weights[i].size;
    return bytes > kLargeWeights;
}

// Gives a session the weights that lie in files of their own: as tensors, by the names of their initializers, which
// costs half of what the files cost it. What is not given fails the session.
void give_weights(const Api &api, const MemoryInfo *memory, const ec_graph_data &data, SessionOptions *options) {
    if (data.weight_count == 0) return;
    std::vector<std::string> names;
    std::vector<Owned<Value>> values;
    for (const WeightsElsewhere &each : read_graph(static_cast<const uint8_t *>(data.data), data.size)) {
        const auto file = std::find_if(data.weights, data.weights + data.weight_count,
                                       [&](const ec_weights &weights) { return weights.location == each.location; });
        if (file == data.weights + data.weight_count || each.offset > file->size ||
            each.size > file->size - each.offset)
            continue;
        // Not written to: ONNX Runtime copies them while it makes the session.
        const auto bytes = static_cast<const uint8_t *>(file->data) + each.offset;
        names.emplace_back(each.name);
        values.push_back(api.make(CreateTensorWithDataAsOrtValue, ReleaseValue, memory, const_cast<uint8_t *>(bytes),
                                  static_cast<size_t>(each.size), each.dimensions.data(), each.dimensions.size(),
                                  each.type));
    }
    std::vector<const char *> given_names;
    std::vector<const Value *> given_values;
    for (size_t i = 0; i < names.size(); ++i) {
        given_names.push_back(names[i].c_str());
        given_values.push_back(values[i].get());
    }
    api.call(AddExternalInitializers, options, given_names.data(), given_values.data(), names.size());
}

// "float32 (1, 8, 2, 3)"
std::string array(const std::string &type, const std::vector<int64_t> &shape) {
    std::string list;
    for (const int64_t side : shape) list += (list.empty() ? "" : ", ") + std::to_string(side);
    return type + " (" + list + (shape.size() == 1 ? ",)" : ")");
}

std::string type_name(int32_t type) {
    switch (type) {
        case kUint8: return "uint8";
        case kInt16: return "int16";
        case kInt64: return "int64";
        case kFloat: return "float32";
        default: return "type " + std::to_string(type);
    }
}

// Copies a value into the caller's memory. Throws Failure(EC_ENGINE_FAILED) for one of another type or shape: a graph
// may give anything under its name.
void store(const Api &api, Value *value, const ec_tensor &wanted) {
    const Owned<ShapeAndType> description = api.make(GetTensorTypeAndShape, ReleaseTensorTypeAndShapeInfo, value);
    const ShapeAndType *found = description.get();
    int32_t type = 0;
    size_t rank = 0;
    api.call(GetTensorElementType, found, &type);
    api.call(GetDimensionsCount, found, &rank);
    std::vector<int64_t> shape(rank);
    api.call(GetDimensions, found, shape.data(), rank);
    const std::vector<int64_t> wanted_shape(wanted.shape, wanted.shape + wanted.rank);
    if (type != element_type(wanted.type) || shape != wanted_shape) {
        throw Failure(EC_ENGINE_FAILED, "gave " + array(type_name(type), shape) + " for '" + wanted.name + "', not " +
                                            array(type_name(element_type(wanted.type)), wanted_shape));
    }
    void *data = nullptr;
    api.call(GetTensorMutableData, value, &data);
    if (wanted.bytes > 0) std::memcpy(wanted.data, data, wanted.bytes);
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
      provider_(library_, {provider_name_, text(choice.provider_library), text(choice.device)}),
      calls_(library_.api(), library_.has(22)),
      memory_(library_.api().make(CreateCpuMemoryInfo, ReleaseMemoryInfo, kDeviceAllocator, kDefaultMemory)) {
    table_.name = name_.c_str();
    table_.context = this;
    table_.load = [](void *context, const ec_job *job, const ec_graph_data *data, const ec_engine_options *options,
                     ec_loaded_graph *out, ec_error *error) {
        return guarded(error, [&] {
            const auto engine = static_cast<OnnxRuntimeEngine *>(context);
            check_struct(data, "data");
            check_struct(out, "out");
            ec_loaded_graph loaded{};
            copy_text(loaded.device, engine->provider_.device().c_str());
            copy_text(loaded.version, engine->library_.version().c_str());
            const auto given = from_caller(data, "data");
            loaded.graph = located(file_name(*given.graph),
                                   [&] { return engine->load(job, given, from_caller(options, "options")); });
            for (const ec_shape_range &shape : engine->provider_.shapes(*given.graph)) {
                loaded.shapes[loaded.shape_count++] = shape;
            }
            to_caller(loaded, out);
        });
    };
    table_.run = [](void *context, const ec_job *job, void *graph, const ec_tensor *inputs, size_t input_count,
                    ec_tensor *outputs, size_t output_count, ec_error *error) {
        return guarded(error, [&] {
            static_cast<OnnxRuntimeEngine *>(context)->run(job, *static_cast<const Graph *>(graph), inputs, input_count,
                                                           outputs, output_count);
        });
    };
    table_.cancel = [](void *context, const ec_job *job) {
        static_cast<OnnxRuntimeEngine *>(context)->calls_.cancel(job);
    };
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
    if (options.one_shot && provider_name_.empty() && has_large_weights(data))
        api.call(SetSessionGraphOptimizationLevel, made.get(), kNoOptimiser);
    if (options.threads > 0)
        api.call(SetIntraOpNumThreads, made.get(), static_cast<int>(std::min(options.threads, kMaxThreads)));
    api.call(AddSessionConfigEntry, made.get(), "session.load_model_format", "ONNX");
    // Where it would look for weights that it was not given: in no folder, rather than in the current one.
    api.call(AddSessionConfigEntry, made.get(), "session.model_external_initializers_file_folder_path", "/dev/null");
    give_weights(api, memory_.get(), data, made.get());
    return made;
}

OnnxRuntimeEngine::Graph *OnnxRuntimeEngine::load(const ec_job *job, const ec_graph_data &data,
                                                  const ec_engine_options &options) {
    const Api &api = library_.api();
    bool cancelled = false;
    try {
        const Owned<SessionOptions> made = settings(data, options);
        provider_.append_to(made.get(), data);
        auto graph = std::make_unique<Graph>(Graph{{nullptr, api[ReleaseSession]}, {}});
        {
            const Calls::Call call(calls_, job, made.get());
            if (call.cancelled()) throw Failure(EC_CANCELLED, kCancelled);
            Session *session = nullptr;
            Status *status =
                api[CreateSessionFromArray](library_.environment(), data.data, data.size, made.get(), &session);
            graph->session.reset(session);
            cancelled = call.cancelled();
            api.check(status);
        }
        if (cancelled) throw Failure(EC_CANCELLED, kCancelled);
        graph->knobs = check_ports(api, graph->session.get(), *data.graph);
        return graph.release();
    } catch (const CallFailed &failed) {
        if (cancelled) throw Failure(EC_CANCELLED, kCancelled);
        if (failed.out_of_memory()) throw Failure(EC_NO_MEMORY, "there is not enough memory for the graph");
        throw Failure(EC_ENGINE_FAILED, "ONNX Runtime refuses the graph: " + failed.first_line());
    }
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
    return library_.api().make(CreateTensorWithDataAsOrtValue, ReleaseValue, memory_.get(), tensor.data, tensor.bytes,
                               shape, rank, element_type(tensor.type));
}

void OnnxRuntimeEngine::run(const ec_job *job, const Graph &graph, const ec_tensor *inputs, size_t input_count,
                            ec_tensor *outputs, size_t output_count) {
    const Api &api = library_.api();
    std::vector<const char *> input_names, output_names;
    std::vector<Owned<Value>> owned;
    std::vector<const Value *> given;
    // ONNX Runtime allocates the results. Given the caller's memory, it would leave that as it is for some graphs, and
    // would say in other words in every version that a result is of another shape. Results are small beside the
    // tensors inside a network.
    std::vector<Value *> results(output_count);
    bool cancelled = false;
    try {
        for (size_t i = 0; i < input_count; ++i) {
            input_names.push_back(inputs[i].name);
            owned.push_back(value(inputs[i], graph));
            given.push_back(owned.back().get());
        }
        for (size_t i = 0; i < output_count; ++i) output_names.push_back(outputs[i].name);
        const Owned<RunOptions> options = api.make(CreateRunOptions, ReleaseRunOptions);
        api.call(RunOptionsSetRunLogSeverityLevel, options.get(), kFatal);
        {
            const Calls::Call call(calls_, job, options.get());
            if (call.cancelled()) throw Failure(EC_CANCELLED, kCancelled);
            Status *status = api[Run](graph.session.get(), options.get(), input_names.data(), given.data(),
                                      given.size(), output_names.data(), results.size(), results.data());
            for (Value *result : results) owned.emplace_back(result, api[ReleaseValue]);
            cancelled = call.cancelled();
            api.check(status);
        }
        if (cancelled) throw Failure(EC_CANCELLED, kCancelled);
        for (size_t i = 0; i < output_count; ++i) store(api, results[i], outputs[i]);
    } catch (const CallFailed &failed) {
        if (cancelled) throw Failure(EC_CANCELLED, kCancelled);
        if (failed.out_of_memory()) throw Failure(EC_NO_MEMORY, "there is not enough memory to run the graph");
        throw Failure(EC_ENGINE_FAILED, "ONNX Runtime failed: " + failed.first_line());
    }
}

}  // namespace edgecodec
