// ONNX Runtime's shared library, found and opened at run time: edgecodec is built without it and starts without it.
#pragma once

#include <string>

#include "onnxruntime/api.h"

namespace edgecodec::ort {

class Library {
public:
    // path: of the library; where it is empty, these are tried in turn: the path in the environment variable
    // EDGECODEC_ONNXRUNTIME, the folder that libedgecodec lies in, and wherever the system looks for libraries.
    //
    // Throws Failure(EC_ENGINE_UNAVAILABLE) for a library that is not there, is another one, or is too old. The first
    // one that is there is taken, or refused.
    explicit Library(const std::string &path);

    const Api &api() const { return api_; }
    // ONNX Runtime has one of them in a process, and counts who uses it.
    Environment *environment() const { return environment_.get(); }
    // Never releases the environment, not even with this object.
    void keep_environment() const;
    // "1.23.2"
    const std::string &version() const { return version_; }
    // Whether it is of version 1.`minor` or newer, and so has that version of the interface.
    bool has(unsigned minor) const { return minor_ >= minor; }

private:
    std::string version_;
    unsigned minor_ = 0;
    Api api_;
    Owned<Environment> environment_;
};

}  // namespace edgecodec::ort
