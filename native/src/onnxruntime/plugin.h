// Plugins: libraries that bring execution providers of their own to ONNX Runtime 1.22 and newer.
#pragma once

#include <string>
#include <vector>

#include "onnxruntime/devices.h"
#include "onnxruntime/library.h"

namespace edgecodec::ort {

// The devices of this machine that the plugin at `path` can use. A path that does not begin with a slash is one from
// the current folder. The plugin stays in the process for good: it has threads and state, and was not made to be
// unloaded.
//
// Throws Failure(EC_ENGINE_UNAVAILABLE) for what is no plugin, or cannot be opened.
std::vector<Device> plugin_devices(const Library &library, const std::string &path);

// The one of these that `provider` and `device` name; an empty `device` means the provider's first. Throws
// Failure(EC_ENGINE_UNAVAILABLE), which lists what there is, and EC_INVALID_ARGUMENT for what is no name of a device.
Device choose_device(const std::vector<Device> &devices, const std::string &provider, const std::string &device);

}  // namespace edgecodec::ort
