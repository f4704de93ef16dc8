// The C functions that list ONNX Runtime's devices, and that give tests its engine table.
#include <algorithm>

#include "edgecodec/core.h"
#include "onnxruntime/engine.h"
#include "onnxruntime/plugin.h"
#include "support/status.h"

using namespace edgecodec;

struct ec_core_onnxruntime {
    OnnxRuntimeEngine engine;
};

ec_status ec_core_onnxruntime_devices(const char *library, const char *provider_library, ec_core_device *out,
                                      size_t capacity, size_t *count, ec_error *error) {
    return guarded(error, [&] {
        if (count == nullptr || (out == nullptr && capacity > 0)) {
            throw Failure(EC_INVALID_ARGUMENT, "count or out missing");
        }
        const ort::Library opened(library == nullptr ? "" : library);
        const std::vector<ort::Device> devices =
            provider_library == nullptr ? ort::list_devices(opened) : ort::plugin_devices(opened, provider_library);
        *count = devices.size();
        for (size_t i = 0; i < std::min(capacity, devices.size()); ++i) {
            copy_text(out[i].provider, devices[i].provider.c_str());
            copy_text(out[i].name, devices[i].name().c_str());
            copy_text(out[i].vendor, devices[i].vendor.c_str());
        }
    });
}

ec_status ec_core_onnxruntime_open(const char *engine, const char *library, const char *provider_library,
                                   const char *provider_device, ec_core_onnxruntime **out, ec_error *error) {
    return guarded(error, [&] {
        if (out == nullptr) throw Failure(EC_INVALID_ARGUMENT, "out missing");
        *out = new ec_core_onnxruntime{OnnxRuntimeEngine({engine, library, provider_library, provider_device})};
    });
}

const ec_engine *ec_core_onnxruntime_table(const ec_core_onnxruntime *engine) { return &engine->engine.table(); }

void ec_core_onnxruntime_close(ec_core_onnxruntime *engine) { delete engine; }
