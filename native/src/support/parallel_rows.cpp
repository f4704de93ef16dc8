#include "support/parallel_rows.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <thread>
#include <vector>

namespace edgecodec {

size_t parallel_workers(size_t rows, unsigned threads) {
    return std::max<size_t>(1, std::min<size_t>(rows, threads));
}

void parallel_rows(size_t rows, size_t workers, const std::function<void(size_t, size_t)> &body) {
    // Rows are claimed one by one, because a busy machine finishes equal shares at unequal times.
    std::atomic<size_t> next{0};
    const auto work = [&](size_t worker) {
        for (size_t row; (row = next.fetch_add(1, std::memory_order_relaxed)) < rows;) body(worker, row);
    };
    std::vector<std::thread> helpers;
    helpers.reserve(workers - 1);
    try {
        while (helpers.size() + 1 < workers) helpers.emplace_back(work, helpers.size() + 1);
    } catch (const std::exception &) {
        // Fewer threads only take longer.
    }
    work(0);
    for (std::thread &helper : helpers) helper.join();
}

}  // namespace edgecodec
