"""The native search for a rate looks at the same points as the plain reference, in the same order."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from edgecodec.errors import InvalidArgument
from support import native_runtime
from support.native_runtime import RateSearch
from support.reference_runtime import rate_search

anything = st.floats(allow_nan=True, allow_infinity=True)
sizes_in_any_order = st.lists(st.integers(0, 60), min_size=1, max_size=60)


def _asked(search: object, sizes: Sequence[int], target: float, expected: Sequence[float] | None) -> list[int]:
    """The points that a search looks at, and its result at last."""
    points: list[int] = []

    def size_of(point: int) -> int:
        points.append(point)
        return sizes[point]

    return [*points, search(len(sizes), target, size_of, expected)]  # type: ignore[operator]


@settings(max_examples=250)
@given(sizes_in_any_order, st.sampled_from([None, False, True]), anything | st.integers(-1, 61), st.data())
def test_the_points_are_those_of_the_reference(
    values: list[int], falls: bool | None, target: float, data: st.DataObject
) -> None:
    sizes = values if falls is None else sorted(values, reverse=falls)
    curve = st.lists(anything | st.floats(0, 60), min_size=len(sizes), max_size=len(sizes))
    expected = data.draw(st.none() | curve | curve.map(sorted))
    assert _asked(native_runtime.search, sizes, target, expected) == _asked(rate_search.search, sizes, target, expected)


@settings(max_examples=40)
@given(st.lists(st.floats(1, 1e6), min_size=257, max_size=257).map(sorted), st.floats(0.5, 2), st.floats(0, 1))
@example([1000.0 * 1.01**point for point in range(257)], 1.3, 0.5)
def test_a_curve_that_is_right_but_for_a_factor(expected: list[float], factor: float, share: float) -> None:
    sizes = [int(factor * each) for each in expected]
    target = sizes[0] + share * (sizes[-1] - sizes[0])
    points = _asked(native_runtime.search, sizes, target, expected)
    assert points == _asked(rate_search.search, sizes, target, expected)
    within = [size for size in sizes if size <= target]
    assert sizes[points[-1]] == max(within, default=min(sizes))
    assert len(points) - 1 <= rate_search.GUESSES + 2 + math.ceil(math.log2(257))


def test_calls_that_make_no_sense() -> None:
    with pytest.raises(InvalidArgument, match="no points"):
        RateSearch(0, 1.0)
    search = RateSearch(3, 1.0)
    with pytest.raises(InvalidArgument, match="nothing was reported"):
        search.best()
    with pytest.raises(InvalidArgument, match="no such point"):
        search.report(3, 10)
