#include "support/parallel_rows.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <thread>
#include <vector>

namespace edgecodec {

size_t parallel_workers(size_t rows, unsigned threads) { return std::max<size_t>(1, std::min<size_t>(rows, threads)); }

void parallel_rows(size_t rows, size_t workers, const std::function<void(size_t, size_t)> &body) {
    // Workers claim rows one by one, because on a busy machine equal shares take unequal times.
    std::atomic<size_t> next{0};
    std::exception_ptr failure;
    std::atomic_flag failed = ATOMIC_FLAG_INIT;
    const auto work = [&](size_t worker) noexcept {
        try {
            for (size_t row; (row = next.fetch_add(1, std::memory_order_relaxed)) < rows;) body(worker, row);
        } catch (...) {
            next.store(rows, std::memory_order_relaxed);  // the other workers finish the rows they have
            if (!failed.test_and_set()) failure = std::current_exception();
        }
    };
    std::vector<std::thread> helpers;
    helpers.reserve(workers - 1);
    try {
        while (helpers.size() + 1 < workers) helpers.emplace_back(work, helpers.size() + 1);
    } catch (const std::exception &) {
        // With fewer threads it only takes longer.
    }
    work(0);
    for (std::thread &helper : helpers) helper.join();
    if (failure) std::rethrow_exception(failure);
}

}  // namespace edgecodec
