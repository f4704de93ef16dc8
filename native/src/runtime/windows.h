// Large pictures in tiles: the parts of a picture that an engine runs on one after the other, and what is kept of each.
//
// Only engine calls are tiled. Each runs on a window: a core, whose result is kept, and around it a halo as wide as the
// receptive field, so that the core comes out as it does in the whole picture, up to the last bits of floats. Windows
// begin and end on the entropy model's grid, so that each holds whole positions of every latent.
#pragma once

#include <cstdint>
#include <vector>

#include "edgecodec/edgecodec.h"

namespace edgecodec {

// A window along one axis, in units: start to stop is given to the engine, first to last is kept. Where an engine takes
// no picture as small as this one, stop lies beyond the picture.
struct Span {
    uint32_t start, stop, first, last;
};

// Windows over a picture of `unit` pixels a unit: every pair of a span of rows and one of columns, row by row. Their
// cores cover every unit once. All are of one size in units.
struct Plan {
    uint32_t unit;
    std::vector<Span> rows, columns;
    bool low_memory;  // whether the engine returns memory rather than being fast
    // Whether the caller pads what of a window lies beyond the picture, for an engine that takes some shapes only.
    // Otherwise windows end with the picture, be it within a unit.
    bool padded;

    size_t count() const { return rows.size() * columns.size(); }
    const Span &row(size_t window) const { return rows[window / columns.size()]; }
    const Span &column(size_t window) const { return columns[window % columns.size()]; }
    ec_tiles tiles() const;
};

// What a codec says about tiles: as ec_codec_options has them.
struct TileChoice {
    uint32_t tile = 0;
    uint64_t max_memory = 0;
};

// For a graph over height x width pixels, in units of `unit` pixels. allowed: the shapes that the engine takes, none
// for all: then a picture of such a shape goes whole, as it is, and another in windows of such a shape. Throws
// Failure(EC_LIMIT) where neither the whole nor a part fits what the caller allows, EC_NO_MEMORY where it does not fit
// what is available, and EC_ENGINE_FAILED where no window has a shape that the engine takes. For sides of n units it
// takes n steps for each shape, and one for each row and column of windows.
Plan plan_windows(const ec_graph &graph, uint32_t height, uint32_t width, uint32_t unit, const TileChoice &choice,
                  const std::vector<ec_shape_range> &allowed = {});

}  // namespace edgecodec
