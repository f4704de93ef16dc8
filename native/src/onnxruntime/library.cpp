#include "onnxruntime/library.h"

#include <dlfcn.h>
#include <unistd.h>

#include <cstdlib>
#include <vector>

#include "support/status.h"

namespace edgecodec::ort {
namespace {

constexpr char kPath[] = "EDGECODEC_ONNXRUNTIME", kTelemetry[] = "ORT_DISABLE_TELEMETRY";
constexpr char kWhatToGive[] = "give the path of libonnxruntime.so, of ONNX Runtime 1.20 or newer";
#if defined(__APPLE__)
constexpr const char *kNames[] = {"libonnxruntime.1.dylib", "libonnxruntime.dylib"};
#else
constexpr const char *kNames[] = {"libonnxruntime.so.1", "libonnxruntime.so"};
#endif

// Versions 1.x of ONNX Runtime, which has version x of its interface.
constexpr unsigned kOldest = 20, kPlugins = 22, kReportsItsUse = 29;

Failure unavailable(const std::string &message, const std::string &where) {
    return Failure(EC_ENGINE_UNAVAILABLE, message).at(where);
}

// NULL, with the linker's words, where it cannot be opened. ONNX Runtime stays in memory for good: it has threads and
// state of the process, and was not made to be unloaded.
void *open(const std::string &path, std::string &problem) {
    void *handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (handle == nullptr) {
        const char *words = dlerror();
        problem = words == nullptr ? "the linker does not say why" : words;
    }
    return handle;
}

void *open_named(const std::string &path) {
    std::string problem;
    void *handle = open(path, problem);
    if (handle == nullptr) {
        throw unavailable("ONNX Runtime cannot be opened: " + problem, path).advising(kWhatToGive);
    }
    return handle;
}

// The folder of the library, or program, that this code is part of, with a slash at its end; or nothing.
std::string own_folder() {
    static const char inside = 0;
    Dl_info info;
    if (dladdr(&inside, &info) == 0 || info.dli_fname == nullptr) return {};
    const std::string path = info.dli_fname;
    return path.substr(0, path.rfind('/') + 1);
}

void *find(std::string &path) {
    if (!path.empty()) return open_named(path);
    if (const char *given = std::getenv(kPath); given != nullptr && *given != 0) {
        path = given;
        return open_named(path);
    }
    std::string looked_for;
    const std::string folder = own_folder();
    for (const char *name : kNames) {
        if (folder.empty()) break;
        path = folder + name;
        if (access(path.c_str(), F_OK) == 0) return open_named(path);
        looked_for += path + ", ";
    }
    for (const char *name : kNames) {
        std::string problem;
        path = name;
        if (void *handle = open(path, problem); handle != nullptr) return handle;
        // Of a library that is not there the linker says so under its own name; else it is one that this one needs.
        if (problem.compare(0, path.size() + 1, path + ":") != 0) {
            throw unavailable("ONNX Runtime cannot be opened: " + problem, path);
        }
        looked_for += path + ", ";
    }
    looked_for.resize(looked_for.size() - 2);
    throw unavailable("ONNX Runtime is not installed, or not where it was looked for", looked_for)
        .advising("install ONNX Runtime 1.20 or newer, or set EDGECODEC_ONNXRUNTIME to the path of its library");
}

// ONNX Runtime from 1.29 on sends facts about its use over the network, and writes an identifier of the machine under
// HOME, as soon as it has an environment; its function that turns this off takes an environment and so comes too late.
// Only a variable of the process does it in time. A codec that calls home is worse than one that sets a variable, so it
// is set where the host says nothing. Other threads of the host must not be in the middle of getenv then: a host that
// minds sets the variable itself, to 1, or to 0 for telemetry.
void without_telemetry() { setenv(kTelemetry, "1", 0); }

}  // namespace

Library::Library(const std::string &given) : api_(nullptr), environment_(nullptr, nullptr) {
    std::string path = given;
    void *handle = find(path);
    const auto get_base = reinterpret_cast<GetApiBase *>(dlsym(handle, "OrtGetApiBase"));
    const ApiBase *base = get_base == nullptr ? nullptr : get_base();
    if (base == nullptr) {
        throw unavailable("is not ONNX Runtime: it has no OrtGetApiBase", path).advising(kWhatToGive);
    }
    version_ = base->get_version();
    minor_ = minor_version(version_.c_str());
    if (!has(kOldest)) {
        throw unavailable("ONNX Runtime " + version_ + " is too old", path).advising("install 1.20 or newer");
    }
    // A version that the library does not have must not be asked for: it would print.
    const void *const *table = base->get_api(has(kPlugins) ? kPlugins : kOldest);
    if (table == nullptr) {
        throw unavailable("ONNX Runtime " + version_ + " has another interface", path)
            .advising("install a version of ONNX Runtime that this version of edgecodec knows");
    }
    api_ = Api(table);
    if (has(kReportsItsUse)) without_telemetry();
    try {
        environment_ = api_.make(CreateEnv, ReleaseEnv, kFatal, "edgecodec");
    } catch (const CallFailed &failed) {
        throw unavailable("ONNX Runtime cannot start: " + failed.first_line(), path);
    }
}

void Library::keep_environment() const {
    // Another use of it, which is not given back.
    Environment *environment = nullptr;
    api_.call(CreateEnv, kFatal, "edgecodec", &environment);
}

}  // namespace edgecodec::ort
