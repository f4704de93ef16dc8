// Conversion between the two orders of a tensor: channels outermost, as callers and the coder use, and innermost, as
// nets use.
#pragma once

#include <algorithm>
#include <cstddef>

namespace edgecodec {

// source[row][column] to target[column][row].
template <class Source, class Target>
void transpose(const Source *source, size_t rows, size_t columns, Target *target) {
    // In squares, so that the cache lines written to are still in the cache for the next column.
    constexpr size_t kSquare = 32;
    for (size_t row = 0; row < rows; row += kSquare) {
        const size_t last_row = std::min(row + kSquare, rows);
        for (size_t column = 0; column < columns; column += kSquare) {
            const size_t last_column = std::min(column + kSquare, columns);
            for (size_t y = row; y < last_row; ++y) {
                for (size_t x = column; x < last_column; ++x) target[x * rows + y] = source[y * columns + x];
            }
        }
    }
}

}  // namespace edgecodec
