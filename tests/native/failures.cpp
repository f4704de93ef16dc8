// Checks that every exception becomes a status at the C boundary, also one that no code throws on purpose, and one in a
// thread, and that work is done without threads where the system refuses them. Compiled from the sources, because the library exports nothing but its C functions.
//
//     failures
//
// The exit status is 1 if one does not; the output then names it.
#include <atomic>
#include <cstddef>
#include <cstdio>
#include <functional>
#include <new>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#ifdef __GLIBC__
#include <pthread.h>
#endif

#include "support/parallel_rows.h"
#include "support/status.h"

using namespace edgecodec;

namespace {

int wrong = 0;

template <class Body>
void expect(const char *name, ec_status status, const std::string &message, Body &&body) {
    ec_error error{};
    const ec_status returned = guarded(&error, body);
    if (returned == status && error.status == status && error.message == message) return;
    std::printf("%s: status %d, message \"%s\"\n", name, static_cast<int>(returned), error.message);
    ++wrong;
}

#ifdef __GLIBC__
// Until it is destroyed, no thread can be created: each would get a stack that no address space has room for.
class NoThreads {
public:
    NoThreads() {
        pthread_getattr_default_np(&before_);
        pthread_attr_t larger;
        pthread_attr_init(&larger);
        pthread_attr_setstacksize(&larger, size_t{1} << 50);
        if (pthread_setattr_default_np(&larger) != 0) throw std::runtime_error("the stack size cannot be set");
        pthread_attr_destroy(&larger);
    }
    ~NoThreads() {
        pthread_setattr_default_np(&before_);
        pthread_attr_destroy(&before_);
    }

private:
    pthread_attr_t before_;
};
#endif

void in_parallel(const std::function<void(size_t worker, size_t row)> &body) { parallel_rows(64, 4, body); }

}  // namespace

int main() {
    expect("failure", EC_CORRUPT, "ends too early", [] { throw Failure(EC_CORRUPT, "ends too early"); });
    expect("bad_alloc", EC_NO_MEMORY, "not enough memory", [] { throw std::bad_alloc(); });
    expect("length_error", EC_NO_MEMORY, "not enough memory", [] { throw std::length_error("vector"); });
    expect("runtime_error", EC_INTERNAL, "unexpected exception: thrown", [] { throw std::runtime_error("thrown"); });
    expect("int", EC_INTERNAL, "unexpected exception: not derived from std::exception", [] { throw 7; });
    expect("long message", EC_INTERNAL, ("unexpected exception: " + std::string(600, 'x')).substr(0, 511),
           [] { throw std::runtime_error(std::string(600, 'x')); });
    if (guarded(nullptr, [] { throw 7; }) != EC_INTERNAL) ++wrong;

    expect("failure in every row", EC_LIMIT, "too large",
           [] { in_parallel([](size_t, size_t) { throw Failure(EC_LIMIT, "too large"); }); });
    expect("exception in one row", EC_INTERNAL, "unexpected exception: row", [] {
        in_parallel([](size_t, size_t row) {
            if (row == 40) throw std::runtime_error("row");
        });
    });
    // Workers other than the caller throw; the caller waits for one of them, so that there is always one.
    expect("exception in a thread", EC_INTERNAL, "unexpected exception: thread", [] {
        std::atomic<bool> thrown{false};
        in_parallel([&](size_t worker, size_t) {
            if (worker > 0) {
                thrown = true;
                throw std::runtime_error("thread");
            }
            while (!thrown) std::this_thread::yield();
        });
    });
    expect("no exception", EC_OK, "", [] {
        std::atomic<size_t> rows{0};
        in_parallel([&](size_t, size_t) { ++rows; });
        if (rows != 64) throw std::runtime_error("not every row once");
    });
#ifdef __GLIBC__
    expect("no threads to be had", EC_OK, "", [] {
        const NoThreads none;
        bool refused = false;
        try {
            std::thread([] {}).join();
        } catch (const std::system_error &) {
            refused = true;
        }
        if (!refused) throw std::runtime_error("there is a thread all the same");
        size_t rows = 0;
        in_parallel([&](size_t worker, size_t) { rows += worker == 0; });
        if (rows != 64) throw std::runtime_error("the caller has not done every row");
    });
    expect("failure without threads", EC_LIMIT, "too large", [] {
        const NoThreads none;
        in_parallel([](size_t, size_t) { throw Failure(EC_LIMIT, "too large"); });
    });
#endif
    if (wrong == 0) std::puts("every exception became a status");
    return wrong == 0 ? 0 : 1;
}
