// Failures inside the library are C++ exceptions. At the C boundary they become a status and fill the caller's ec_error.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <new>
#include <stdexcept>
#include <string>

#include "edgecodec/core.h"

namespace edgecodec {

// What becomes a status and an ec_error. where: the file, knob or tensor, or nothing; the outermost caller that knows it
// names it. hint: what to do about it.
class Failure : public std::exception {
public:
    Failure(ec_status status, std::string message, int64_t offset = -1)
        : status(status), offset(offset), message(std::move(message)) {}
    const char *what() const noexcept override { return message.c_str(); }

    // The first cause knows best: what is set already stays.
    Failure &&at(const std::string &place) && {
        locate(place);
        return std::move(*this);
    }
    Failure &&advising(std::string advice) && {
        if (hint.empty()) hint = std::move(advice);
        return std::move(*this);
    }
    void locate(const std::string &place) {
        if (where.empty()) where = place;
    }

    ec_status status;
    int64_t offset;
    std::string message, where, hint;
};

// Runs `body`; a failure in it that names no place is then about `place`.
template <class Body>
decltype(auto) located(const std::string &place, Body &&body) {
    try {
        return body();
    } catch (Failure &failure) {
        failure.locate(place);
        throw;
    }
}

// Cut where it is too long, between two characters of UTF-8.
template <size_t size>
void copy_text(char (&to)[size], const char *text) noexcept {
    size_t length = std::strlen(text);
    if (length >= size) {
        length = size - 1;
        while (length > 0 && (text[length] & 0xC0) == 0x80) --length;
    }
    std::memcpy(to, text, length);
    to[length] = 0;
}

// Fills in what the caller's version of the struct has.
inline void report(ec_error *error, ec_status status, int64_t offset, const char *message, const char *where = "",
                   const char *hint = "") noexcept {
    if (error == nullptr) return;
    ec_error whole = EC_INIT(ec_error);
    whole.struct_size = error->struct_size;
    whole.status = status;
    whole.offset = offset;
    copy_text(whole.message, message);
    copy_text(whole.where, where);
    copy_text(whole.hint, hint);
    std::memcpy(error, &whole, std::min(error->struct_size, sizeof whole));
}

// The status and message of an exception that no code here throws on purpose.
inline ec_status report_unexpected(ec_error *error, const char *what) noexcept {
    char message[sizeof error->message];  // on the stack, because this must not throw
    std::snprintf(message, sizeof message, "unexpected exception: %s", what);
    report(error, EC_INTERNAL, -1, message, "", "this is a bug: please report it");
    return EC_INTERNAL;
}

// Runs `body` and turns whatever it throws into a status: no exception crosses the C boundary.
template <class Body>
ec_status guarded(ec_error *error, Body &&body) noexcept {
    try {
        body();
        return EC_OK;
    } catch (const Failure &failure) {
        report(error, failure.status, failure.offset, failure.what(), failure.where.c_str(), failure.hint.c_str());
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
