// The C functions that give tests ONNX Runtime's engine table.
#include "edgecodec/core.h"
#include "onnxruntime/engine.h"
#include "support/status.h"

using namespace edgecodec;

struct ec_core_onnxruntime {
    OnnxRuntimeEngine engine;
};

ec_status ec_core_onnxruntime_open(const char *engine, const char *library, const char *provider_library,
                                   ec_core_onnxruntime **out, ec_error *error) {
    return guarded(error, [&] {
        if (out == nullptr) throw Failure(EC_INVALID_ARGUMENT, "out missing");
        *out = new ec_core_onnxruntime{OnnxRuntimeEngine({engine, library, provider_library})};
    });
}

const ec_engine *ec_core_onnxruntime_table(const ec_core_onnxruntime *engine) { return &engine->engine.table(); }

void ec_core_onnxruntime_close(ec_core_onnxruntime *engine) { delete engine; }
