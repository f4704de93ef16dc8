#include "onnxruntime/provider.h"

#include <algorithm>
#include <cctype>
#include <mutex>
#include <vector>

#include "support/status.h"

namespace edgecodec::ort {
namespace {

constexpr char kCuda[] = "CUDAExecutionProvider", kTensorrt[] = "TensorrtExecutionProvider";

std::string lower(std::string text) {
    std::transform(text.begin(), text.end(), text.begin(), [](unsigned char letter) { return std::tolower(letter); });
    return text;
}

// Whether someone who says `name` means the provider that ONNX Runtime calls `provider`.
bool means(const std::string &name, const std::string &provider) {
    return lower(provider) == lower(name) || lower(provider) == lower(name) + "executionprovider";
}

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

std::vector<const EpDevice *> devices(const Library &library) {
    const EpDevice *const *list = nullptr;
    size_t count = 0;
    library.api().call(GetEpDevices, static_cast<const Environment *>(library.environment()), &list, &count);
    return {list, list + count};
}

std::string provider_of(const Library &library, const EpDevice *device) {
    return library.api()[EpDevice_EpName](device);
}

const EpDevice *find_device(const Library &library, const std::string &name) {
    for (const EpDevice *device : devices(library)) {
        if (means(name, provider_of(library, device))) return device;
    }
    return nullptr;
}

}  // namespace

bool is_gpu(const std::string &name) {
    const char *const gpus[] = {"cuda", "dml", "migraphx", "nvtensorrtrtx", "rocm", "tensorrt", "webgpu"};
    return std::any_of(std::begin(gpus), std::end(gpus), [&](const char *gpu) { return means(gpu, name); });
}

Provider::Provider(const Library &library, const std::string &name, const std::string &plugin)
    : library_(library), name_(name), device_(name.empty() ? "cpu" : name) {
    located("onnxruntime:" + name, [&] {
        try {
            if (!plugin.empty()) {
                find_in_plugin(plugin);
            } else if (!name.empty()) {
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

void Provider::find_in_plugin(const std::string &path) {
    if (name_.empty()) {
        throw Failure(EC_INVALID_ARGUMENT, "a provider's library is given, but not which provider of it")
            .advising("name the engine \"onnxruntime:\" and the provider");
    }
    if (!library_.has(22)) {
        throw Failure(EC_ENGINE_UNAVAILABLE, "ONNX Runtime " + library_.version() + " takes no providers' libraries")
            .advising("install 1.22 or newer");
    }
    // An environment takes a library under a name once. Codecs may be opened on several threads.
    static std::mutex registering;
    const std::lock_guard<std::mutex> lock(registering);
    plugin_device_ = find_device(library_, name_);
    if (plugin_device_ != nullptr) return;
    try {
        library_.api().call(RegisterExecutionProviderLibrary, library_.environment(), name_.c_str(), path.c_str());
    } catch (const CallFailed &failed) {
        throw Failure(EC_ENGINE_UNAVAILABLE, "the provider's library cannot be used: " + failed.first_line()).at(path);
    }
    plugin_device_ = find_device(library_, name_);
    if (plugin_device_ == nullptr) {
        std::vector<std::string> names;
        for (const EpDevice *device : devices(library_)) names.push_back(provider_of(library_, device));
        throw Failure(EC_ENGINE_UNAVAILABLE,
                      "no device here has a provider called " + name_ + ", only " + joined(names))
            .at(path);
    }
}

void Provider::append_to(SessionOptions *options) const {
    const Api &api = library_.api();
    try {
        if (plugin_device_ != nullptr) {
            api.call(SessionOptionsAppendExecutionProvider_V2, options, library_.environment(), &plugin_device_,
                     size_t{1}, nullptr, nullptr, size_t{0});
        } else if (provider_ == kCuda) {
            const auto settings = api.make(CreateCUDAProviderOptions, ReleaseCUDAProviderOptions);
            api.call(SessionOptionsAppendExecutionProvider_CUDA_V2, options, settings.get());
        } else if (provider_ == kTensorrt) {
            const auto settings = api.make(CreateTensorRTProviderOptions, ReleaseTensorRTProviderOptions);
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

}  // namespace edgecodec::ort
