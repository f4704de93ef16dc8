"""The native search for a rate looks at the same points as the plain reference, in the same order."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from edgecodec.errors import InvalidArgument
from support import native_runtime
from support.native_runtime import RateSearch
from support.reference_runtime import rate_search

anything = st.floats(allow_nan=True, allow_infinity=True)
sizes_in_any_order = st.lists(st.integers(0, 60), min_size=1, max_size=60)


def _asked(
    search: Callable[..., int], sizes: Sequence[int], target: float, expected: Sequence[float] | None
) -> list[int]:
    """The points that a search looks at, and its result at last."""
    points: list[int] = []

    def size_of(point: int) -> int:
        points.append(point)
        return sizes[point]

    best = search(len(sizes), target, size_of, expected)
    return [*points, best]


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


# ---- its cost ------------------------------------------------------------------------------------------------------

POINTS = 257
N = np.linspace(-2, 2, POINTS)


def curve_of(photograph: np.random.Generator | None) -> npt.NDArray[np.float64]:
    """Bytes of a megapixel at every n: 0.14 to 0.04 bits per pixel, or a photograph's own.

    A photograph's rate is half to double as high, falls up to a quarter faster or slower, and has its steepest place
    elsewhere.
    """
    factor, steepness, middle = 1.0, 1.0, 0.5
    if photograph is not None:
        factor = 2.0 ** photograph.uniform(-1, 1)
        steepness = photograph.uniform(0.75, 1.25)
        middle += photograph.uniform(-0.3, 0.3)
    fall = 1 / (1 + np.exp(-1.3 * (N - middle)))
    sizes: npt.NDArray[np.float64] = 1e6 / 8 * factor * 0.14 * 0.25 ** (steepness * fall)
    return sizes


def encodes(expected: Sequence[float] | None, photographs: int) -> list[int]:
    """The number of encodes for each of many photographs, at targets that some n reaches."""
    generator = np.random.default_rng(0)
    counts = []
    for _ in range(photographs):
        sizes = curve_of(generator).astype(int)
        target = float(generator.uniform(sizes[-1], sizes[0]))
        points = _asked(native_runtime.search, sizes.tolist(), target, expected)
        assert points == _asked(rate_search.search, sizes.tolist(), target, expected)
        assert points[-1] == int(np.argmax(sizes <= target))
        counts.append(len(points) - 1)
    return counts


def test_a_good_curve_saves_half_of_the_encodes() -> None:
    without = encodes(None, 20)
    assert np.mean(without) == 10
    led = encodes(curve_of(None).tolist(), 200)
    assert np.mean(led) <= np.mean(without) / 2
    assert max(led) <= 10


@pytest.mark.parametrize(
    "wrong",
    [curve_of(None)[::-1], curve_of(None) ** 5, np.ones(POINTS), np.full(POINTS, np.nan), np.full(POINTS, np.inf)],
)
def test_a_wrong_curve_costs_its_guesses_at_most(wrong: npt.NDArray[np.float64]) -> None:
    assert max(encodes(wrong.tolist(), 30)) <= 10 + rate_search.GUESSES


def test_the_exact_curve_takes_three_encodes() -> None:
    """One to learn the picture's factor, and the two that prove each other."""
    curve = curve_of(None)
    for factor in (0.8, 1.0, 1.3):
        sizes, target = (factor * curve).astype(int).tolist(), factor * float(curve[100] + curve[101]) / 2
        assert len(_asked(native_runtime.search, sizes, target, curve.tolist())) <= 3 + 1


@pytest.mark.parametrize("target", [1.0, 1e9])
def test_a_target_beyond_every_point_takes_the_two_ends(target: float) -> None:
    curve = curve_of(None)
    *asked, best = _asked(native_runtime.search, curve.astype(int).tolist(), target, curve.tolist())
    assert sorted(asked) == [0, POINTS - 1] and best == (POINTS - 1 if target == 1 else 0)


def test_calls_that_make_no_sense() -> None:
    with pytest.raises(InvalidArgument, match="no points"):
        RateSearch(0, 1.0)
    search = RateSearch(3, 1.0)
    with pytest.raises(InvalidArgument, match="nothing was reported"):
        search.best()
    with pytest.raises(InvalidArgument, match="no such point"):
        search.report(3, 10)
