// An engine of the caller's: TensorRT itself, for a Jetson whose ONNX Runtime was built without it. TensorRT 10.3
// (JetPack 6) or newer.
//
//     edgecodec build hific.bundle --alpha 0.5 -o plans
//     tensorrt_engine photo.edgc hific.bundle plans photo.ppm [alpha=0.5]
//
// `edgecodec build` builds a plan for this device from a graph of the bundle; README.md has the command of `trtexec` that
// does so without Python. A plan holds code of the machine: load none that you did not build.
//
// What an engine is: a table of four functions (ec_engine). The library calls `load` once for each graph that it needs,
// then `run` for every picture or tile, with inputs and outputs in the processor's memory.
#include <NvInfer.h>
#include <cuda_runtime_api.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <memory>
#include <new>
#include <string>
#include <vector>

#include "edgecodec/edgecodec.h"
#include "failure.h"
#include "files.h"

namespace {

class Logger : public nvinfer1::ILogger {
public:
    void log(Severity severity, const char *text) noexcept override {
        if (severity <= Severity::kERROR) std::snprintf(last, sizeof last, "%s", text);
    }
    char last[512] = "";
};

struct Context {
    std::string plans;  // the folder
    Logger logger;
    std::unique_ptr<nvinfer1::IRuntime> runtime;
};

// Memory of the device.
class DeviceMemory {
public:
    DeviceMemory() = default;
    DeviceMemory(const DeviceMemory &) = delete;
    DeviceMemory &operator=(const DeviceMemory &) = delete;
    ~DeviceMemory() { cudaFree(memory_); }

    bool reserve(size_t bytes) {
        if (bytes <= bytes_) return true;
        cudaFree(memory_);
        memory_ = nullptr;
        bytes_ = cudaMalloc(&memory_, bytes) == cudaSuccess ? bytes : 0;
        return bytes_ != 0;
    }
    void *get() const { return memory_; }

private:
    void *memory_ = nullptr;
    size_t bytes_ = 0;
};

// A graph that is ready to run. One run at a time: it has one set of buffers.
struct LoadedPlan {
    std::unique_ptr<nvinfer1::ICudaEngine> engine;
    std::unique_ptr<nvinfer1::IExecutionContext> execution;
    std::vector<std::unique_ptr<DeviceMemory>> buffers;
    cudaStream_t stream = nullptr;
    ~LoadedPlan() {
        if (stream != nullptr) cudaStreamDestroy(stream);
    }
};

ec_status fail(ec_error *error, ec_status status, const char *text) {
    if (error != nullptr) {
        error->status = status;
        std::snprintf(error->message, sizeof error->message, "%s", text);
    }
    return status;
}

// The sizes of pictures that a plan takes, from the smallest and largest grid of its first latent.
ec_shape_range shapes_of(const nvinfer1::ICudaEngine &engine, const ec_port &latent) {
    const nvinfer1::Dims least = engine.getProfileShape(latent.name, 0, nvinfer1::OptProfileSelector::kMIN);
    const nvinfer1::Dims most = engine.getProfileShape(latent.name, 0, nvinfer1::OptProfileSelector::kMAX);
    const auto side = [&](int axis) {
        return ec_side_range{static_cast<uint32_t>(least.d[axis]) * latent.stride,
                             static_cast<uint32_t>(most.d[axis]) * latent.stride, latent.stride};
    };
    return {side(2), side(3)};
}

ec_status load(void *context, const ec_job *, const ec_graph_data *data, const ec_engine_options *,
               ec_loaded_graph *out, ec_error *error) try {
    Context &self = *static_cast<Context *>(context);
    const std::string graph = data->graph->file;
    const std::string path = self.plans + "/" + graph.substr(0, graph.rfind('.')) + ".plan";
    std::ifstream file(path, std::ios::binary);
    const std::vector<char> plan((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
    if (!file || plan.empty()) return fail(error, EC_ENGINE_UNAVAILABLE, ("no plan " + path).c_str());

    auto loaded = std::make_unique<LoadedPlan>();
    loaded->engine.reset(self.runtime->deserializeCudaEngine(plan.data(), plan.size()));
    if (loaded->engine) loaded->execution.reset(loaded->engine->createExecutionContext());
    if (!loaded->execution || cudaStreamCreate(&loaded->stream) != cudaSuccess) {
        return fail(error, EC_ENGINE_FAILED, self.logger.last);
    }
    const size_t tensors = data->graph->input_count + data->graph->output_count;
    for (size_t i = 0; i < tensors; ++i) loaded->buffers.push_back(std::make_unique<DeviceMemory>());

    for (size_t i = 0; i < data->graph->input_count && out->shape_count == 0; ++i) {
        const ec_port &port = *data->graph->inputs[i];
        if (port.role == EC_LATENT) out->shapes[out->shape_count++] = shapes_of(*loaded->engine, port);
    }
    std::snprintf(out->device, sizeof out->device, "tensorrt");
    std::snprintf(out->version, sizeof out->version, "%d.%d.%d", NV_TENSORRT_MAJOR, NV_TENSORRT_MINOR,
                  NV_TENSORRT_PATCH);
    out->serial = 1;
    out->graph = loaded.release();
    return EC_OK;
} catch (const std::bad_alloc &) {
    return fail(error, EC_NO_MEMORY, "not enough memory");
}

ec_status run(void *context, const ec_job *, void *graph, const ec_tensor *inputs, size_t input_count,
              ec_tensor *outputs, size_t output_count, ec_error *error) {
    Context &self = *static_cast<Context *>(context);
    LoadedPlan &plan = *static_cast<LoadedPlan *>(graph);
    bool fine = true;
    for (size_t i = 0; i < input_count && fine; ++i) {
        const ec_tensor &tensor = inputs[i];
        nvinfer1::Dims shape{};
        shape.nbDims = static_cast<int32_t>(tensor.rank);
        for (uint32_t axis = 0; axis < tensor.rank; ++axis) shape.d[axis] = tensor.shape[axis];
        DeviceMemory &buffer = *plan.buffers[i];
        fine = buffer.reserve(tensor.bytes) && plan.execution->setInputShape(tensor.name, shape) &&
               plan.execution->setTensorAddress(tensor.name, buffer.get()) &&
               cudaMemcpyAsync(buffer.get(), tensor.data, tensor.bytes, cudaMemcpyHostToDevice, plan.stream) ==
                   cudaSuccess;
    }
    for (size_t i = 0; i < output_count && fine; ++i) {
        DeviceMemory &buffer = *plan.buffers[input_count + i];
        fine = buffer.reserve(outputs[i].bytes) && plan.execution->setTensorAddress(outputs[i].name, buffer.get());
    }
    fine = fine && plan.execution->enqueueV3(plan.stream);
    for (size_t i = 0; i < output_count && fine; ++i) {
        fine = cudaMemcpyAsync(outputs[i].data, plan.buffers[input_count + i]->get(), outputs[i].bytes,
                               cudaMemcpyDeviceToHost, plan.stream) == cudaSuccess;
    }
    // Also after a failure: copies that were begun read the library's memory.
    fine = cudaStreamSynchronize(plan.stream) == cudaSuccess && fine;
    if (fine) return EC_OK;
    return fail(error, EC_ENGINE_FAILED,
                self.logger.last[0] ? self.logger.last : cudaGetErrorString(cudaGetLastError()));
}

void unload(void *, void *graph) { delete static_cast<LoadedPlan *>(graph); }

}  // namespace

int main(int count, char **arguments) {
    if (count < 5) {
        std::fprintf(stderr, "usage: %s IN.edgc BUNDLE PLANS OUT.ppm [KNOB=VALUE]\n", arguments[0]);
        return 2;
    }
    Context context;
    context.plans = arguments[3];
    context.runtime.reset(nvinfer1::createInferRuntime(context.logger));
    if (!context.runtime) {
        std::fprintf(stderr, "%s\n", context.logger.last);
        return 6;
    }

    ec_engine table = EC_INIT(ec_engine);
    table.name = "tensorrt";
    table.context = &context;
    table.load = load;
    table.run = run;
    table.unload = unload;
    ec_codec_options options = EC_INIT(ec_codec_options);
    options.engine_table = &table;

    ec_knob_value knob = {nullptr, 0};
    if (char *equals = count > 5 ? std::strchr(arguments[5], '=') : nullptr) {
        *equals = 0;
        knob = {arguments[5], std::strtod(equals + 1, nullptr)};
        options.knobs = &knob;
        options.knob_count = 1;
    }

    size_t size = 0;
    uint8_t *file = read_file(arguments[1], &size);
    if (file == nullptr) return 7;
    ec_error error = EC_INIT(ec_error);
    ec_bundle *bundle = nullptr;
    ec_codec *codec = nullptr;
    ec_picture picture = EC_INIT(ec_picture);
    ec_status status = ec_bundle_open(arguments[2], &bundle, &error);
    if (status == EC_OK) status = ec_codec_open(bundle, &options, &codec, &error);
    if (status == EC_OK) status = ec_decode(codec, file, size, nullptr, &picture, &error);
    if (status != EC_OK) {
        complain(&error, arguments[1]);
    } else if (write_picture(arguments[4], picture.pixels, picture.width, picture.height, picture.channels,
                             picture.row_stride) != 0) {
        status = EC_CANNOT_READ;  // or write
    }
    ec_free(picture.pixels);
    ec_codec_close(codec);  // unloads the graphs, so the runtime must still be there
    ec_bundle_close(bundle);
    std::free(file);
    return status / 10;
}
