// Latents between the entropy coder, which has whole ones as int16, and an engine, which takes and gives windows of
// floats.
#pragma once

#include <cstdint>

#include "edgecodec/edgecodec.h"

namespace edgecodec {

// A part of a map along one axis: `count` positions from `first` on.
struct Range {
    uint32_t first, count;
};

// A whole map, (channels, rows, columns).
struct MapShape {
    uint32_t channels, rows, columns;
};

// Writes a window of `planes` to out, (channels, rows.count, columns.count). Beyond the map its last row and column
// repeat: that is where an engine takes no picture as small as this one.
void cut_window(const int16_t *planes, const MapShape &shape, Range rows, Range columns, float *out);

// The least and the largest of values; `numbers` is false where one of them is none.
struct ValueRange {
    float low, high;
    bool numbers;
};
ValueRange range_of(const float *values, size_t count);

// Writes what lies in `rows` and `columns` of the whole map, out of a window of whole numbers, (channels, window_rows,
// window_columns), that begins at top and left. All of them fit 16 bits.
void paste_window(const float *window, uint32_t window_rows, uint32_t window_columns, uint32_t top, uint32_t left,
                  Range rows, Range columns, const MapShape &shape, int16_t *planes);

}  // namespace edgecodec
