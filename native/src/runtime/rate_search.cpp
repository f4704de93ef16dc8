#include "runtime/rate_search.h"

#include <algorithm>
#include <cmath>

namespace edgecodec {

namespace {

constexpr size_t kGuesses =
    8;  // points that a curve chooses at most; a wrong curve costs these, then bisection goes on

using Sizes = std::vector<std::pair<size_t, uint64_t>>;  // by point, in the order of the reports

bool fits(uint64_t size, double target) { return static_cast<double>(size) <= target; }

uint64_t size_at(const Sizes &sizes, size_t point) {
    return std::find_if(sizes.begin(), sizes.end(), [&](const auto &each) { return each.first == point; })->second;
}

bool is_known(const Sizes &sizes, size_t point) {
    return std::any_of(sizes.begin(), sizes.end(), [&](const auto &each) { return each.first == point; });
}

// Two points with no known one between them, one within the target and one beyond it; empty without such.
std::vector<size_t> bracket_of(Sizes sizes, double target) {
    std::sort(sizes.begin(), sizes.end());
    for (size_t i = 1; i < sizes.size(); ++i) {
        if (fits(sizes[i - 1].second, target) != fits(sizes[i].second, target)) {
            return {sizes[i - 1].first, sizes[i].first};
        }
    }
    return {};
}

// The points that may be looked at next, ascending; none where the result is certain.
std::vector<size_t> choices_of(size_t points, const Sizes &sizes, const std::vector<size_t> &bracket, bool led) {
    std::vector<size_t> choices;
    if (!bracket.empty()) {
        for (size_t point = bracket[0] + 1; point < bracket[1]; ++point) choices.push_back(point);
        return choices;
    }
    // An end that gives no bracket leaves the other end, which proves in which direction sizes rise.
    const bool anywhere = led && !is_known(sizes, 0) && !is_known(sizes, points - 1);
    for (size_t point = 0; point < points; ++point) {
        const bool is_end = point == 0 || point == points - 1;
        if ((anywhere || is_end) && !is_known(sizes, point)) choices.push_back(point);
    }
    return choices;
}

// The expected size where the target lies, by what was expected at the points whose sizes are known.
//
// The first of these gives a factor. Later ones give a line through the last and one other: from the other side of the
// target if possible (false position; Illinois rule, which halves the distance of a point that stays), or else the one
// before.
double on_curve(const std::vector<double> &expected, const Sizes &sizes, double target,
                const std::vector<size_t> &bracket) {
    if (sizes.empty()) return target;
    const auto [last, last_size] = sizes.back();
    if (sizes.size() == 1) return expected[last] * target / static_cast<double>(std::max<uint64_t>(last_size, 1));
    const bool last_fits = fits(last_size, target);
    size_t other = sizes[sizes.size() - 2].first;
    for (const size_t point : bracket) {
        if (fits(size_at(sizes, point), target) != last_fits) other = point;
    }
    double distance = static_cast<double>(size_at(sizes, other)) - target;
    if (!bracket.empty()) {
        for (size_t i = sizes.size() - 1; i > 0 && fits(sizes[i - 1].second, target) == last_fits; --i) distance *= 0.5;
    }
    const double last_distance = static_cast<double>(last_size) - target;
    const double rise = distance - last_distance;
    if (rise == 0) return expected[last];
    return (expected[last] * distance - expected[other] * last_distance) / rise;
}

}  // namespace

RateSearch::RateSearch(size_t points, double target, std::vector<double> expected)
    : points_(points), target_(target), expected_(std::move(expected)) {}

std::optional<size_t> RateSearch::next() const {
    const std::vector<size_t> bracket = bracket_of(sizes_, target_);
    const bool led = !expected_.empty() && sizes_.size() < kGuesses;
    const std::vector<size_t> choices = choices_of(points_, sizes_, bracket, led);
    if (choices.empty()) return std::nullopt;
    if (!led) return choices[(choices.size() - 1) / 2];
    const double wanted = on_curve(expected_, sizes_, target_, bracket);
    const auto distance = [&](size_t point) { return std::abs(expected_[point] - wanted); };
    return *std::min_element(choices.begin(), choices.end(),
                             [&](size_t one, size_t other) { return distance(one) < distance(other); });
}

void RateSearch::report(size_t point, uint64_t size) { sizes_.emplace_back(point, size); }

size_t RateSearch::best() const {
    // Of equal sizes take the one nearest to those beyond the target: the bracket's, then the latest.
    std::vector<size_t> order = bracket_of(sizes_, target_);
    for (size_t i = sizes_.size(); i > 0; --i) order.push_back(sizes_[i - 1].first);
    std::optional<size_t> best;
    for (const size_t point : order) {
        if (!fits(size_at(sizes_, point), target_)) continue;
        if (!best || size_at(sizes_, point) > size_at(sizes_, *best)) best = point;
    }
    if (best) return *best;
    return std::min_element(sizes_.begin(), sizes_.end(),
                            [](const auto &one, const auto &other) { return one.second < other.second; })
        ->first;
}

}  // namespace edgecodec
