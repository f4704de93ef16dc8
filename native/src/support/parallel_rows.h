// Rows of independent work over threads. Who does which row is left to chance; nothing may depend on it.
#pragma once

#include <cstddef>
#include <functional>

namespace edgecodec {

// Workers that `parallel_rows` may use: scratch memory is theirs, one each.
size_t parallel_workers(size_t rows, unsigned threads);

// Calls body(worker, row) once for every row below `rows`, from at most `workers` threads, the caller's among them.
// An exception from `body` ends the work early and is thrown again here, the first one if there are several. If the
// system refuses more threads, the ones it gave do all rows.
void parallel_rows(size_t rows, size_t workers, const std::function<void(size_t worker, size_t row)> &body);

}  // namespace edgecodec
