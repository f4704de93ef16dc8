#include "runtime/latent_windows.h"

#include <algorithm>
#include <limits>

namespace edgecodec {

void cut_window(const int16_t *planes, const MapShape &shape, Range rows, Range columns, float *out) {
    const uint32_t inside = std::min(columns.count, shape.columns - columns.first);
    for (uint32_t channel = 0; channel < shape.channels; ++channel) {
        const int16_t *plane = planes + size_t{channel} * shape.rows * shape.columns;
        for (uint32_t row = 0; row < rows.count; ++row) {
            const uint32_t source = std::min(rows.first + row, shape.rows - 1);
            const int16_t *from = plane + size_t{source} * shape.columns + columns.first;
            for (uint32_t i = 0; i < inside; ++i) out[i] = static_cast<float>(from[i]);
            std::fill(out + inside, out + columns.count, static_cast<float>(from[inside - 1]));
            out += columns.count;
        }
    }
}

ValueRange range_of(const float *values, size_t count) {
    float low = std::numeric_limits<float>::infinity(), high = -low;
    bool numbers = true;
    for (size_t i = 0; i < count; ++i) {
        numbers &= values[i] == values[i];
        low = values[i] < low ? values[i] : low;
        high = values[i] > high ? values[i] : high;
    }
    return {low, high, numbers};
}

void paste_window(const float *window, uint32_t window_rows, uint32_t window_columns, uint32_t top, uint32_t left,
                  Range rows, Range columns, const MapShape &shape, int16_t *planes) {
    for (uint32_t channel = 0; channel < shape.channels; ++channel) {
        for (uint32_t row = rows.first; row < rows.first + rows.count; ++row) {
            const float *from =
                window + (size_t{channel} * window_rows + row - top) * window_columns + (columns.first - left);
            int16_t *to = planes + (size_t{channel} * shape.rows + row) * shape.columns + columns.first;
            for (uint32_t i = 0; i < columns.count; ++i) to[i] = static_cast<int16_t>(from[i]);
        }
    }
}

}  // namespace edgecodec
