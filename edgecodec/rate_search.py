"""The largest file within a target, by bisection over the points of a knob."""

from __future__ import annotations

from collections.abc import Callable


def search(points: int, target: float, size_of: Callable[[int], int]) -> int:
    """Number of the point, 0 to points - 1, whose size is the largest not above `target`, or else the smallest.

    Sizes are taken to rise or to fall from each point to the next. Where they do neither, the result is the best of
    the points that were looked at. size_of is called once for each of these: both ends, and log2(points) between them.
    """
    low, high = 0, points - 1
    sizes = {low: size_of(low)}
    if high > low:
        sizes[high] = size_of(high)
    while high - low > 1 and (sizes[low] <= target) != (sizes[high] <= target):
        middle = (low + high) // 2
        sizes[middle] = size_of(middle)
        if (sizes[middle] <= target) == (sizes[low] <= target):
            low = middle
        else:
            high = middle
    # Of equal sizes take the one tried last: it is nearest to those beyond the target.
    within = [point for point in reversed(sizes) if sizes[point] <= target]
    return max(within, key=sizes.__getitem__) if within else min(sizes, key=sizes.__getitem__)
