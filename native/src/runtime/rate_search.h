// The largest file within a target: a search over the points of a knob, by bisection or led by a curve.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

namespace edgecodec {

// Finds the point, 0 to points - 1, whose size is the largest not above the target, or else the smallest. Sizes are
// taken to rise or to fall from each point to the next. Where they do neither, the result is the best of the points that
// were looked at: both ends, and log2(points) between them.
//
// expected: about the size at each point, but for a factor, where that is known; empty otherwise. The search then begins
// at the point that is expected to meet the target, and goes on by the secant method. For sizes in order its result is
// the same as without, whatever is expected; a good curve leaves about half of the points, and a wrong one adds 8 at
// most.
class RateSearch {
public:
    RateSearch(size_t points, double target, std::vector<double> expected);

    // The point to look at next; nothing where the result is certain.
    std::optional<size_t> next() const;
    void report(size_t point, uint64_t size);
    // After at least one report.
    size_t best() const;

private:
    size_t points_;
    double target_;
    std::vector<double> expected_;
    std::vector<std::pair<size_t, uint64_t>> sizes_;  // in the order of the reports
};

}  // namespace edgecodec
