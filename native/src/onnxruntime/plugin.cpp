#include "onnxruntime/plugin.h"

#include <limits.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <utility>

#include "support/status.h"

namespace edgecodec::ort {
namespace {

// ONNX Runtime would look for another path in its own folder.
std::string absolute(const std::string &path) {
    char folder[PATH_MAX];
    if (path.front() == '/' || getcwd(folder, sizeof folder) == nullptr) return path;
    return std::string(folder) + "/" + path;
}

// The plugins of this process: the devices of each, by the environment and the path that it was registered under. An
// environment in this list is never released, and so neither are its plugins and devices.
struct Plugins {
    std::mutex mutex;
    std::map<std::pair<const Environment *, std::string>, std::vector<const EpDevice *>> devices;
};

Plugins &plugins() {
    static Plugins *const all = new Plugins;  // threads of plugins may outlive static objects
    return *all;
}

std::vector<const EpDevice *> registered(const Library &library, const std::string &path) {
    const auto list = [&] {
        std::vector<const EpDevice *> handles;
        for (const Device &device : list_devices(library)) handles.push_back(device.handle);
        return handles;
    };
    const std::vector<const EpDevice *> before = list();
    library.api().call(RegisterExecutionProviderLibrary, library.environment(), path.c_str(), path.c_str());
    library.keep_environment();
    std::vector<const EpDevice *> brought = list();
    brought.erase(std::remove_if(brought.begin(), brought.end(),
                                 [&](const EpDevice *each) {
                                     return std::find(before.begin(), before.end(), each) != before.end();
                                 }),
                  brought.end());
    return brought;
}

std::string listed(const std::vector<Device> &devices) {
    std::string list;
    for (const Device &device : devices) list += (list.empty() ? "" : ", ") + device.provider + " " + device.name();
    return list;
}

}  // namespace

std::vector<Device> plugin_devices(const Library &library, const std::string &path) {
    if (!library.has(kListsDevices)) {
        throw Failure(EC_ENGINE_UNAVAILABLE, "ONNX Runtime " + library.version() + " takes no plugins")
            .at(path)
            .advising("install 1.22 or newer");
    }
    Plugins &all = plugins();
    const std::lock_guard<std::mutex> lock(all.mutex);
    const auto key = std::make_pair(static_cast<const Environment *>(library.environment()), absolute(path));
    auto found = all.devices.find(key);
    try {
        if (found == all.devices.end()) found = all.devices.emplace(key, registered(library, key.second)).first;
        std::vector<Device> devices = list_devices(library);
        const std::vector<const EpDevice *> &brought = found->second;
        devices.erase(std::remove_if(devices.begin(), devices.end(),
                                     [&](const Device &each) {
                                         return std::find(brought.begin(), brought.end(), each.handle) == brought.end();
                                     }),
                      devices.end());
        return devices;
    } catch (const CallFailed &failed) {
        throw Failure(EC_ENGINE_UNAVAILABLE, "the plugin cannot be used: " + failed.first_line())
            .at(path)
            .advising("give the library of an ONNX Runtime plugin, on a machine with the driver that it needs");
    }
}

Device choose_device(const std::vector<Device> &devices, const std::string &provider, const std::string &device) {
    if (devices.empty()) throw Failure(EC_ENGINE_UNAVAILABLE, "the plugin finds no device that it can use here");
    std::vector<Device> suitable;
    std::copy_if(devices.begin(), devices.end(), std::back_inserter(suitable),
                 [&](const Device &each) { return means(provider, each.provider); });
    if (suitable.empty()) {
        throw Failure(EC_ENGINE_UNAVAILABLE,
                      "the plugin has no provider called " + provider + ", only " + listed(devices));
    }
    if (device.empty()) return suitable.front();
    const DeviceName wanted = DeviceName::parse(device);
    const auto found =
        std::find_if(suitable.begin(), suitable.end(), [&](const Device &each) { return wanted.matches(each); });
    if (found == suitable.end()) {
        throw Failure(EC_ENGINE_UNAVAILABLE, "there is no device " + device + ", only " + listed(suitable));
    }
    return *found;
}

}  // namespace edgecodec::ort
