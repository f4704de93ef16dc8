// Failures inside the library are C++ exceptions. At the C boundary they become a status and fill the caller's
// ec_core_error.
#pragma once

#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <new>
#include <stdexcept>
#include <string>

#include "edgecodec/core.h"

namespace edgecodec {

class Failure : public std::exception {
public:
    Failure(ec_status status, std::string message, int64_t offset = -1)
        : status(status), offset(offset), message(std::move(message)) {}
    const char *what() const noexcept override { return message.c_str(); }

    ec_status status;
    int64_t offset;
    std::string message;
};

inline void report(ec_core_error *error, ec_status status, int64_t offset, const char *message) noexcept {
    if (error == nullptr) return;
    error->status = status;
    error->offset = offset;
    std::snprintf(error->message, sizeof error->message, "%s", message);
}

// The status and message of an exception that no code here throws on purpose.
inline ec_status report_unexpected(ec_core_error *error, const char *what) noexcept {
    // On the stack, because this must not throw.
    char message[sizeof error->message];
    std::snprintf(message, sizeof message, "unexpected exception: %s", what);
    report(error, EC_INTERNAL, -1, message);
    return EC_INTERNAL;
}

// Runs `body` and turns whatever it throws into a status: no exception crosses the C boundary.
template <class Body>
ec_status guarded(ec_core_error *error, Body &&body) noexcept {
    try {
        body();
        return EC_OK;
    } catch (const Failure &failure) {
        report(error, failure.status, failure.offset, failure.what());
        return failure.status;
    } catch (const std::bad_alloc &) {
        report(error, EC_NO_MEMORY, -1, "not enough memory");
        return EC_NO_MEMORY;
    } catch (const std::length_error &) {
        report(error, EC_NO_MEMORY, -1, "not enough memory");
        return EC_NO_MEMORY;
    } catch (const std::exception &exception) {
        return report_unexpected(error, exception.what());
    } catch (...) {
        return report_unexpected(error, "not derived from std::exception");
    }
}

}  // namespace edgecodec
