// Calls of ONNX Runtime: its status as an exception, and what it makes in owners that release it.
#pragma once

#include <climits>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <memory>
#include <string>
#include <utility>

#include "onnxruntime/abi.h"

namespace edgecodec::ort {

// What a call of ONNX Runtime failed with. code: its own.
struct CallFailed : std::exception {
    CallFailed(int32_t code, std::string message) : code(code), message(std::move(message)) {}
    const char *what() const noexcept override { return message.c_str(); }
    // Many messages go on with a trace.
    std::string first_line() const { return message.substr(0, message.find('\n')); }
    // ONNX Runtime has no code for it.
    bool out_of_memory() const {
        return message.find("std::bad_alloc") != std::string::npos ||
               message.find("Failed to allocate memory") != std::string::npos;
    }

    int32_t code;
    std::string message;
};

// x of version "1.x.y"; UINT_MAX of a later one than 1, and 0 of what is no version.
inline unsigned minor_version(const char *version) {
    unsigned major = 0, minor = 0;
    if (std::sscanf(version, "%u.%u", &major, &minor) != 2 || major == 0) return 0;
    return major > 1 ? UINT_MAX : minor;
}

template <class T>
using Owned = std::unique_ptr<T, void (*)(T *)>;

class Api {
public:
    explicit Api(const void *const *table) : table_(table) {}

    template <class Signature, size_t position>
    Signature *operator[](Slot<Signature, position>) const {
        return reinterpret_cast<Signature *>(const_cast<void *>(table_[position]));
    }

    // Calls a function that returns a status. Throws CallFailed.
    template <class Function, class... Arguments>
    void call(Function function, Arguments... arguments) const {
        check((*this)[function](arguments...));
    }

    // What `create` makes from these arguments. Throws CallFailed.
    template <class Create, class T, size_t position, class... Arguments>
    Owned<T> make(Create create, Slot<void(T *), position> release, Arguments... arguments) const {
        T *made = nullptr;
        call(create, arguments..., &made);
        return Owned<T>(made, (*this)[release]);
    }

    void check(Status *status) const {
        if (status == nullptr) return;
        const Owned<Status> owner(status, (*this)[ReleaseStatus]);
        throw CallFailed((*this)[GetErrorCode](status), (*this)[GetErrorMessage](status));
    }

private:
    const void *const *table_;
};

}  // namespace edgecodec::ort
