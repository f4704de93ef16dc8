// Independent rows of work on several threads. Which thread does which row is not defined; nothing may depend on it.
#pragma once

#include <cstddef>
#include <functional>

namespace edgecodec {

// The number of workers to give to `parallel_rows`. Each needs scratch memory of its own.
size_t parallel_workers(size_t rows, unsigned threads);

// Calls body(worker, row) once for every row below `rows`, from at most `workers` threads, the caller's among them.
// An exception from `body` ends the work early and is thrown again here, the first one if there are several. If the
// system refuses more threads, the ones it gave do all rows.
void parallel_rows(size_t rows, size_t workers, const std::function<void(size_t worker, size_t row)> &body);

}  // namespace edgecodec
