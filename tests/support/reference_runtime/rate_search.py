"""The largest file within a target: a search over the points of a knob, by bisection or led by a curve."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise, takewhile

#: Points that a curve chooses at most; a wrong curve costs these, and bisection takes over.
GUESSES = 8


def search(points: int, target: float, size_of: Callable[[int], int], expected: Sequence[float] | None = None) -> int:
    """Number of the point, 0 to points - 1, whose size is the largest not above `target`, or else the smallest.

    Sizes are taken to rise or to fall from each point to the next. Where they do neither, the result is the best of
    the points that were looked at. size_of is called once for each of these: both ends, and log2(points) between them.

    expected: about the size at each point, but for a factor, where that is known. The search then begins at the point
    that is expected to meet the target, and goes on by the secant method. For sizes in order its result is the same as
    without, whatever is expected; a good curve leaves about half of the calls, and a wrong one adds GUESSES at most.
    """
    sizes: dict[int, int] = {}
    while True:
        bracket = _bracket(sizes, target)
        led = expected is not None and len(sizes) < GUESSES
        choices = _choices(points, sizes, bracket, led)
        if not choices:
            break
        if expected is not None and led:
            wanted = _on_curve(expected, sizes, target, bracket)
            point = min(choices, key=lambda choice: abs(expected[choice] - wanted))
        else:
            point = choices[(len(choices) - 1) // 2]
        sizes[point] = size_of(point)
    # Of equal sizes take the one nearest to those beyond the target.
    within = [point for point in (*bracket, *reversed(sizes)) if sizes[point] <= target]
    return max(within, key=sizes.__getitem__) if within else min(sizes, key=sizes.__getitem__)


def _bracket(sizes: Mapping[int, int], target: float) -> tuple[int, ...]:
    """Two points with none between them in `sizes`, one within the target and one beyond it; () without such."""
    for low, high in pairwise(sorted(sizes)):
        if (sizes[low] <= target) != (sizes[high] <= target):
            return low, high
    return ()


def _choices(points: int, sizes: Mapping[int, int], bracket: tuple[int, ...], led: bool) -> Sequence[int]:
    """The points that may be looked at next; none where the result is certain."""
    if bracket:
        low, high = bracket
        return range(low + 1, high)
    ends = [end for end in (0, points - 1) if end not in sizes]
    # An end that gives no bracket leaves the other end, which proves in which direction sizes rise.
    return [point for point in range(points) if point not in sizes] if led and len(ends) == 2 else ends


def _on_curve(expected: Sequence[float], sizes: Mapping[int, int], target: float, bracket: tuple[int, ...]) -> float:
    """The expected size where the target lies, by what was expected at the points whose sizes are known.

    The first of these gives a factor. Later ones give a line through the last and one other: from the other side of
    the target if possible (false position; Illinois rule, which halves the distance of a point that stays), or else
    the one before.
    """
    if not sizes:
        return target
    last, *before = reversed(sizes)
    if not before:
        return expected[last] * target / max(sizes[last], 1)
    fits = sizes[last] <= target
    other = next((point for point in bracket if (sizes[point] <= target) != fits), before[0])
    distance = sizes[other] - target
    if bracket:
        same_side = takewhile(lambda point: (sizes[point] <= target) == fits, before)
        distance *= 0.5 ** len(list(same_side))
    rise = distance - (sizes[last] - target)
    return (expected[last] * distance - expected[other] * (sizes[last] - target)) / rise if rise else expected[last]
