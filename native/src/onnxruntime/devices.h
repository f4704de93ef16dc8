// Devices of execution providers, as ONNX Runtime 1.22 and newer list them.
#pragma once

#include <string>
#include <vector>

#include "onnxruntime/library.h"

namespace edgecodec::ort {

// One provider on one piece of hardware.
struct Device {
    const EpDevice *handle;  // the environment's
    std::string provider;    // ONNX Runtime's name for it
    std::string kind;        // "cpu", "gpu" or "npu"
    unsigned number;         // among those of this provider and kind, from 0
    std::string vendor;      // of the hardware

    // "gpu", and "gpu:1" for the second of the kind.
    std::string name() const { return number == 0 ? kind : kind + ":" + std::to_string(number); }
};

// The first version 1.x of ONNX Runtime that lists devices and takes plugins.
constexpr unsigned kListsDevices = 22;

// In ONNX Runtime's order; none of a version that lists none. Throws CallFailed.
std::vector<Device> list_devices(const Library &library);

// What someone calls a device by.
struct DeviceName {
    std::string kind;
    unsigned number = 0;

    // Throws Failure(EC_INVALID_ARGUMENT) for what is no name of a device.
    static DeviceName parse(const std::string &text);
    bool matches(const Device &device) const { return device.kind == kind && device.number == number; }
};

// Whether someone who says `name` means the provider that ONNX Runtime calls `provider`: with or without
// "ExecutionProvider" at its end, and in whatever case.
bool means(const std::string &name, const std::string &provider);

}  // namespace edgecodec::ort
