// onnxruntime/library.h for a page, which has no shared libraries: JavaScript runs the graphs of jobs.
#include "onnxruntime/library.h"
#include "support/status.h"

namespace edgecodec::ort {

Library::Library(const std::string &) : api_(nullptr), environment_(nullptr, nullptr) {
    throw Failure(EC_ENGINE_UNAVAILABLE, "there is no native ONNX Runtime in WebAssembly")
        .advising("open the codec with the engine \"none\" and run its jobs");
}

}  // namespace edgecodec::ort
