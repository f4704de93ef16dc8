#include "onnxruntime/provider.h"

#include <algorithm>
#include <vector>

#include "onnxruntime/plugin.h"
#include "onnxruntime/provider_options.h"
#include "support/status.h"

namespace edgecodec::ort {
namespace {

constexpr char kCuda[] = "CUDAExecutionProvider", kTensorrt[] = "TensorrtExecutionProvider";

// For messages about a provider that is not there.
std::string full_name(const std::string &name) {
    if (name == "cuda") return kCuda;
    return name == "tensorrt" ? kTensorrt : name;
}

std::string joined(const std::vector<std::string> &names) {
    std::string list;
    for (const std::string &name : names) list += (list.empty() ? "" : ", ") + name;
    return list;
}

std::vector<std::string> built_in_providers(const Api &api) {
    char **names = nullptr;
    int count = 0;
    api.call(GetAvailableProviders, &names, &count);
    const std::vector<std::string> providers(names, names + count);
    api.call(ReleaseAvailableProviders, names, count);
    return providers;
}

template <class Function, class Settings>
void update(const Api &api, Function function, Settings *settings, const ProviderOptions &options) {
    std::vector<const char *> keys, values;
    for (const auto &option : options) {
        keys.push_back(option.first.c_str());
        values.push_back(option.second.c_str());
    }
    api.call(function, settings, static_cast<const char *const *>(keys.data()),
             static_cast<const char *const *>(values.data()), keys.size());
}

}  // namespace

bool is_gpu(const std::string &name) {
    const char *const gpus[] = {"cuda", "dml", "migraphx", "nvtensorrtrtx", "rocm", "tensorrt", "webgpu"};
    return std::any_of(std::begin(gpus), std::end(gpus), [&](const char *gpu) { return means(gpu, name); });
}

Provider::Provider(const Library &library, const ProviderChoice &choice)
    : library_(library), name_(choice.name), device_(name_.empty() ? "cpu" : name_) {
    located("onnxruntime:" + name_, [&] {
        try {
            if (!choice.plugin.empty()) {
                find_in_plugin(choice);
            } else if (!choice.device.empty()) {
                throw Failure(EC_INVALID_ARGUMENT, "only a plugin has devices to choose from")
                    .advising("name the plugin's library too");
            } else if (!name_.empty()) {
                find_built_in();
            }
        } catch (const CallFailed &failed) {
            throw Failure(EC_ENGINE_UNAVAILABLE, "ONNX Runtime cannot list what it has: " + failed.first_line());
        }
    });
}

void Provider::find_built_in() {
    const std::vector<std::string> available = built_in_providers(library_.api());
    const auto found =
        std::find_if(available.begin(), available.end(), [&](auto &provider) { return means(name_, provider); });
    if (found == available.end()) {
        throw Failure(EC_ENGINE_UNAVAILABLE,
                      "this ONNX Runtime has no " + full_name(name_) + ", only " + joined(available))
            .advising("install the onnxruntime build for this device");
    }
    provider_ = *found;
}

void Provider::find_in_plugin(const ProviderChoice &choice) {
    if (name_.empty()) {
        throw Failure(EC_INVALID_ARGUMENT, "a plugin is given, but not which provider of it")
            .advising("name the engine \"onnxruntime:\" and the provider");
    }
    plugin_device_ = located(
        choice.plugin, [&] { return choose_device(plugin_devices(library_, choice.plugin), name_, choice.device); });
    device_ = name_ + " " + plugin_device_->name();
}

void Provider::append_to(SessionOptions *options, const ec_graph_data &data) const {
    const Api &api = library_.api();
    try {
        if (plugin_device_.has_value()) {
            // A plugin may leave nodes to the processor, be it all of them, and nobody would know.
            api.call(AddSessionConfigEntry, options, "session.disable_cpu_ep_fallback", "1");
            api.call(SessionOptionsAppendExecutionProvider_V2, options, library_.environment(), &plugin_device_->handle,
                     size_t{1}, nullptr, nullptr, size_t{0});
        } else if (provider_ == kCuda) {
            const auto settings = api.make(CreateCUDAProviderOptions, ReleaseCUDAProviderOptions);
            update(api, UpdateCUDAProviderOptions, settings.get(), cuda_options());
            api.call(SessionOptionsAppendExecutionProvider_CUDA_V2, options, settings.get());
        } else if (provider_ == kTensorrt) {
            const auto settings = api.make(CreateTensorRTProviderOptions, ReleaseTensorRTProviderOptions);
            update(api, UpdateTensorRTProviderOptions, settings.get(), tensorrt_options(data, library_.version()));
            api.call(SessionOptionsAppendExecutionProvider_TensorRT_V2, options, settings.get());
        } else if (!provider_.empty() && provider_ != "CPUExecutionProvider") {
            api.call(SessionOptionsAppendExecutionProvider, options, name_.c_str(), nullptr, nullptr, size_t{0});
        }
    } catch (const CallFailed &failed) {
        throw Failure(EC_ENGINE_UNAVAILABLE, full_name(name_) + " could not start: " + failed.first_line())
            .at("onnxruntime:" + name_)
            .advising("check the driver and the libraries that this onnxruntime build wants");
    }
}

std::vector<ec_shape_range> Provider::shapes(const ec_graph &graph) const {
    if (plugin_device_.has_value() || provider_ != kTensorrt) return {};
    return {tensorrt_shapes(graph)};
}

}  // namespace edgecodec::ort
