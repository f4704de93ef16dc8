#include "onnxruntime/devices.h"

#include <algorithm>
#include <cctype>
#include <cstdlib>

#include "support/status.h"

namespace edgecodec::ort {
namespace {

constexpr size_t kMostDigits = 3;

std::string lower(std::string text) {
    std::transform(text.begin(), text.end(), text.begin(), [](unsigned char letter) { return std::tolower(letter); });
    return text;
}

std::string kind_of(int32_t type) {
    if (type == kGpuHardware) return "gpu";
    return type == kNpuHardware ? "npu" : "cpu";
}

bool is_number(const std::string &text) {
    return !text.empty() && text.size() <= kMostDigits &&
           std::all_of(text.begin(), text.end(), [](char digit) { return digit >= '0' && digit <= '9'; });
}

}  // namespace

std::vector<Device> list_devices(const Library &library) {
    const Api &api = library.api();
    if (!library.has(kListsDevices)) return {};
    const EpDevice *const *handles = nullptr;
    size_t count = 0;
    api.call(GetEpDevices, static_cast<const Environment *>(library.environment()), &handles, &count);
    std::vector<Device> devices;
    for (size_t i = 0; i < count; ++i) {
        const HardwareDevice *hardware = api[EpDevice_Device](handles[i]);
        Device device{handles[i], api[EpDevice_EpName](handles[i]), kind_of(api[HardwareDevice_Type](hardware)), 0,
                      api[HardwareDevice_Vendor](hardware)};
        device.number = static_cast<unsigned>(std::count_if(devices.begin(), devices.end(), [&](const Device &other) {
            return other.provider == device.provider && other.kind == device.kind;
        }));
        devices.push_back(std::move(device));
    }
    return devices;
}

DeviceName DeviceName::parse(const std::string &text) {
    const size_t colon = text.find(':');
    DeviceName name{lower(text.substr(0, colon)), 0};
    const std::string number = colon == std::string::npos ? "0" : text.substr(colon + 1);
    if ((name.kind != "cpu" && name.kind != "gpu" && name.kind != "npu") || !is_number(number)) {
        throw Failure(EC_INVALID_ARGUMENT, "there is no device called '" + text + "'")
            .advising("give cpu, gpu or npu, and the number of one of several, like gpu:1");
    }
    name.number = static_cast<unsigned>(std::atoi(number.c_str()));
    return name;
}

bool means(const std::string &name, const std::string &provider) {
    return lower(provider) == lower(name) || lower(provider) == lower(name) + "executionprovider";
}

}  // namespace edgecodec::ort
