#include "runtime/windows.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <optional>
#include <string>
#include <tuple>

#include "runtime/available_memory.h"
#include "support/status.h"

namespace edgecodec {

namespace {

// Memory of an engine relative to the bundle's estimate. Engines that keep memory for the next call hold up to twice
// what a call needs.
constexpr double kKeeping = 2.0, kLowMemory = 1.4;
// Default share of the available memory that one call may take.
constexpr double kShare = 0.5;

// Pixels of a window's side, however large the pictures are that an engine takes: more than any padded picture has, and
// so little that no product of sides, channels and bytes leaves 64 bits.
constexpr uint32_t kLongestSide = 1 << 17;

constexpr double kUnlimited = std::numeric_limits<double>::infinity();

uint32_t units_of(uint32_t pixels, uint32_t unit) { return pixels / unit + (pixels % unit != 0 ? 1 : 0); }

struct Halo {
    uint32_t before, after;
    uint64_t sum() const { return uint64_t{before} + after; }
};

// Lengths of windows that may be used along an axis, in units: multiples of `step` from least to most.
struct Lengths {
    uint64_t least = 1, most = UINT32_MAX, step = 1;
};

// Windows of one length along an axis, in units. work: the sum of their lengths.
struct Cut {
    uint64_t length, work;
};

// The cuts of an axis among which the least work is: in ascending order of their lengths, and in descending order of
// their work. That is at most one for each number of windows, and there are about 2 * sqrt(side) such numbers.
std::vector<Cut> cuts_of(uint64_t side, const Halo &halo, const Lengths &lengths) {
    std::vector<Cut> cuts;
    const uint64_t first = (std::max<uint64_t>(lengths.least, 1) + lengths.step - 1) / lengths.step * lengths.step;
    for (uint64_t length = first; length <= lengths.most; length += lengths.step) {
        if (length >= side) {
            if (cuts.empty() || length < cuts.back().work) cuts.push_back({length, length});
            break;
        }
        if (length <= halo.sum()) continue;
        const uint64_t core = length - halo.sum();
        const uint64_t count = (side - length + core - 1) / core + 1;
        if (cuts.empty() || count * length < cuts.back().work) cuts.push_back({length, count * length});
    }
    return cuts;
}

// The cuts of both axes for one shape.
struct Cuts {
    std::vector<Cut> rows, columns;
};

// The length of windows along each axis. work: the area of all of them, in square units.
struct Size {
    uint64_t rows, columns, work;
    uint64_t area() const { return rows * columns; }
    bool operator<(const Size &other) const {
        return std::tie(work, rows, columns) < std::tie(other.work, other.rows, other.columns);
    }
};

// Windows of at most `largest` square units and the least work, and of these the shortest. Beside rows of a length, the longest columns that fit are
// the least work.
std::optional<Size> cheapest(const std::vector<Cuts> &shapes, double largest) {
    std::optional<Size> best;
    for (const Cuts &cuts : shapes) {
        for (const Cut &row : cuts.rows) {
            const auto beyond = std::partition_point(cuts.columns.begin(), cuts.columns.end(), [&](const Cut &column) {
                return static_cast<double>(row.length * column.length) <= largest;
            });
            if (beyond == cuts.columns.begin()) break;
            const Cut &column = beyond[-1];
            const Size size{row.length, column.length, row.work * column.work};
            if (!best || size < *best) best = size;
        }
    }
    return best;
}

// The smallest windows that there can be.
std::optional<Size> smallest(const std::vector<Cuts> &shapes) {
    std::optional<Size> least;
    for (const Cuts &cuts : shapes) {
        if (cuts.rows.empty() || cuts.columns.empty()) continue;
        const Cut &row = cuts.rows.front(), &column = cuts.columns.front();
        const Size size{row.length, column.length, row.work * column.work};
        if (!least || size.area() < least->area()) least = size;
    }
    return least;
}

// Windows of one length over `side` units. At the ends of the picture there is no halo, so the cores there are longer.
std::vector<Span> spans(uint32_t side, uint64_t length, const Halo &halo) {
    if (length >= side) return {{0, static_cast<uint32_t>(length), 0, side}};
    const uint32_t last_start = static_cast<uint32_t>(side - length);
    const uint32_t core = static_cast<uint32_t>(length - halo.sum());
    std::vector<Span> found{{0, static_cast<uint32_t>(length), 0, side}};
    while (found.back().start < last_start) {
        const uint32_t start = core < last_start - found.back().start ? found.back().start + core : last_start;
        found.back().last = start + halo.before;
        found.push_back({start, start + static_cast<uint32_t>(length), start + halo.before, side});
    }
    return found;
}

bool takes(const ec_side_range &range, uint32_t pixels) {
    return pixels >= range.least && (range.most == 0 || pixels <= range.most) &&
           (range.multiple == 0 || pixels % range.multiple == 0);
}

// Those of whole units that an engine takes, up to `most` units.
Lengths lengths_of(const ec_side_range &range, uint32_t unit, uint64_t least, uint64_t most) {
    Lengths lengths;
    lengths.least = std::max<uint64_t>(units_of(range.least, unit), least);
    const uint32_t longest = range.most != 0 ? std::min(range.most, kLongestSide) : kLongestSide;
    lengths.most = std::min<uint64_t>(longest / unit, most);
    if (range.multiple != 0) lengths.step = range.multiple / std::gcd(range.multiple, unit);
    return lengths;
}

std::string size_words(uint64_t width, uint64_t height) { return std::to_string(width) + "x" + std::to_string(height); }

// "512", "64 or more" or "64 to 1024", with "in steps of 64"
std::string side_words(const ec_side_range &range) {
    std::string words = std::to_string(range.least);
    if (range.most == range.least) return words;
    words += range.most == 0 ? " or more" : " to " + std::to_string(range.most);
    return range.multiple > 1 ? words + " in steps of " + std::to_string(range.multiple) : words;
}

// Decides on the windows of one picture.
class Planner {
public:
    Planner(const ec_graph &graph, uint32_t height, uint32_t width, uint32_t unit, const TileChoice &choice,
            const std::vector<ec_shape_range> &shapes)
        : graph_(graph),
          height_(height),
          width_(width),
          unit_(unit),
          tile_(choice.tile),
          max_memory_(choice.max_memory),
          shapes_(shapes),
          rows_(units_of(height, unit)),
          columns_(units_of(width, unit)),
          halo_{graph.halo_before, graph.halo_after},
          whole_is_taken_(shapes.empty() || std::any_of(shapes.begin(), shapes.end(), [&](const auto &shape) {
                              return takes(shape.height, height) && takes(shape.width, width);
                          })) {}

    Plan plan() const { return tile_ == 0 || tile_ == EC_TILE_OFF ? plan_by_memory() : plan_by_tile(); }

private:
    Plan plan_by_tile() const {
        const uint32_t core = units_of(tile_, unit_);
        const bool fits = std::max(rows_, columns_) <= core;
        if (fits && whole_is_taken_) return whole(false);
        if (!fits && graph_.not_tiled != nullptr) {
            throw Failure(EC_LIMIT, "the picture is larger than a tile of " + std::to_string(tile_) + " pixels, and " +
                                        cannot_be_tiled())
                .at(graph_.file)
                .advising("let memory decide (tile auto), or work on it whole whatever it takes (tile off)");
        }
        const uint64_t length = core + halo_.sum();
        if (shapes_.empty()) {
            return tiled(std::min<uint64_t>(rows_, length), std::min<uint64_t>(columns_, length), true);
        }
        check_may_be_cut();
        const auto longest = [&](uint32_t side) { return side <= core ? uint64_t{UINT32_MAX} : length; };
        const std::optional<Size> size = cheapest(cuts(1, 1, longest(rows_), longest(columns_)), kUnlimited);
        if (!size) throw no_shape();
        return tiled(size->rows, size->columns, size->rows < rows_ || size->columns < columns_);
    }

    Plan plan_by_memory() const {
        const bool off = tile_ == EC_TILE_OFF;
        const double per_pixel = graph_.bytes_per_pixel;
        const double room = off || per_pixel == 0 ? kUnlimited : memory();
        const double needed = static_cast<double>(uint64_t{height_} * width_) * per_pixel;
        if (whole_is_taken_ && needed * kLowMemory <= room) return whole(needed * kKeeping > room);
        if (whole_is_taken_ && graph_.not_tiled != nullptr) {
            throw no_room(room, needed, cannot_be_tiled(), needed * kLowMemory);
        }
        check_may_be_cut();
        const double square = static_cast<double>(uint64_t{unit_} * unit_);
        const std::vector<Cuts> shapes = cuts(off ? rows_ : 1, off ? columns_ : 1, UINT32_MAX, UINT32_MAX);
        const std::optional<Size> size = cheapest(shapes, room / kLowMemory / per_pixel / square);
        if (size) {
            const double of_one = static_cast<double>(size->area()) * square * per_pixel;
            return tiled(size->rows, size->columns, shapes_.empty() || of_one * kKeeping > room);
        }
        const std::optional<Size> least = smallest(shapes);
        if (!least) throw no_shape();
        const double enough = static_cast<double>(least->area()) * square * per_pixel * kLowMemory;
        const std::string words = size_words(least->columns * unit_, least->rows * unit_);
        throw no_room(room, needed, "the smallest tile, " + words + ", " + memory_words(enough), enough);
    }

    // Bytes that one engine call may take.
    double memory() const {
        if (max_memory_ != 0) return static_cast<double>(max_memory_);
        const std::optional<uint64_t> available = available_memory();
        return available ? static_cast<double>(*available) * kShare : kUnlimited;
    }

    // For each shape that the engine takes. least, most: of the lengths, in units.
    std::vector<Cuts> cuts(uint64_t least_rows, uint64_t least_columns, uint64_t most_rows,
                           uint64_t most_columns) const {
        constexpr ec_shape_range kAny{};
        std::vector<Cuts> found;
        for (const ec_shape_range &shape : shapes_.empty() ? std::vector<ec_shape_range>{kAny} : shapes_) {
            found.push_back({cuts_of(rows_, halo_, lengths_of(shape.height, unit_, least_rows, most_rows)),
                             cuts_of(columns_, halo_, lengths_of(shape.width, unit_, least_columns, most_columns))});
        }
        return found;
    }

    Plan whole(bool low_memory) const {
        return {unit_, {{0, rows_, 0, rows_}}, {{0, columns_, 0, columns_}}, low_memory, false};
    }

    Plan tiled(uint64_t row_length, uint64_t column_length, bool low_memory) const {
        return {unit_, spans(rows_, row_length, halo_), spans(columns_, column_length, halo_), low_memory,
                !shapes_.empty()};
    }

    // A network that cannot work on a part of a picture cannot work on a picture with something beside it either.
    void check_may_be_cut() const {
        if (graph_.not_tiled == nullptr) return;
        throw Failure(EC_ENGINE_FAILED,
                      "the engine takes no " + size_words(width_, height_) + " pixels, and " + cannot_be_tiled())
            .at(graph_.file)
            .advising("it takes " + shape_words());
    }

    Failure no_shape() const {
        return Failure(EC_ENGINE_FAILED,
                       "no part of " + size_words(width_, height_) + " pixels has a shape that the engine takes")
            .at(graph_.file)
            .advising("it takes " + shape_words());
    }

    // enough: bytes that would be enough.
    Failure no_room(double room, double needed, const std::string &what, double enough) const {
        return Failure(max_memory_ != 0 ? EC_LIMIT : EC_NO_MEMORY,
                       "there is room for " + memory_words(room) + ", where " + size_words(width_, height_) +
                           " pixels need " + memory_words(needed * kLowMemory) + ", and " + what)
            .at(graph_.file)
            .advising("allow " + memory_words(enough) +
                      " (max_memory), shrink the picture, or work on it whole whatever it takes (tile off)");
    }

    std::string cannot_be_tiled() const { return std::string("this network cannot be tiled: ") + graph_.not_tiled; }

    // Of those that the engine takes, width by height: "512 by 512; 64 or more by 64 to 128"
    std::string shape_words() const {
        std::string words;
        for (const ec_shape_range &shape : shapes_) {
            words += (words.empty() ? "" : "; ") + side_words(shape.width) + " by " + side_words(shape.height);
        }
        return words;
    }

    const ec_graph &graph_;
    uint32_t height_, width_, unit_;
    uint32_t tile_;
    uint64_t max_memory_;
    const std::vector<ec_shape_range> &shapes_;
    uint32_t rows_, columns_;
    Halo halo_;
    bool whole_is_taken_;
};

// The sum of the windows along an axis, over its side.
double covered(const std::vector<Span> &axis) {
    uint64_t sum = 0;
    for (const Span &span : axis) sum += span.stop - span.start;
    return static_cast<double>(sum) / axis.back().last;
}

}  // namespace

ec_tiles Plan::tiles() const {
    ec_tiles tiles{};
    tiles.count = static_cast<uint32_t>(count());
    tiles.height = (rows[0].stop - rows[0].start) * unit;
    tiles.width = (columns[0].stop - columns[0].start) * unit;
    tiles.overhead = covered(rows) * covered(columns) - 1;
    return tiles;
}

Plan plan_windows(const ec_graph &graph, uint32_t height, uint32_t width, uint32_t unit, const TileChoice &choice,
                  const std::vector<ec_shape_range> &allowed) {
    return Planner(graph, height, width, unit, choice, allowed).plan();
}

}  // namespace edgecodec
