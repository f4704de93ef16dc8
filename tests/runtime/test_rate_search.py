"""The search for a rate finds the same point with and without a curve; a good curve saves encodes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

import edgecodec
from edgecodec.bundle import BundleInfo
from edgecodec.codec import Codec
from edgecodec.description import Knob, RateFit
from edgecodec.picture import Picture
from edgecodec_engines.onnxruntime import OnnxRuntime
from support import native_runtime
from support.index_file import Fit
from support.make_bundles import Recipe, analysis, plain, synthesised

POINTS = 257
GUESSES = 8  # points that a curve chooses at most
N = np.linspace(-2, 2, POINTS)

sizes_in_order = st.lists(st.integers(0, 60), min_size=1, max_size=60).map(sorted)
anything = st.floats(allow_nan=True, allow_infinity=True)


class Sizes:
    """Looks sizes up, and counts how often it is asked."""

    def __init__(self, sizes: Sequence[int]) -> None:
        self.sizes = sizes
        self.asked: list[int] = []

    def __call__(self, point: int) -> int:
        self.asked.append(point)
        return int(self.sizes[point])

    def search(self, target: float, expected: Sequence[float] | None = None) -> int:
        return native_runtime.search(len(self.sizes), target, self, expected)


# ---- the result ----------------------------------------------------------------------------------------------------


@given(sizes_in_order, st.booleans(), st.integers(-1, 61), st.data())
def test_any_curve_gives_the_exhaustive_answer(
    rising: list[int], falls: bool, target: int, data: st.DataObject
) -> None:
    values = rising[::-1] if falls else rising
    expected = data.draw(st.none() | st.lists(anything, min_size=len(values), max_size=len(values)))
    sizes = Sizes(values)
    found = sizes.search(target, expected)
    within = [point for point, size in enumerate(values) if size <= target]
    assert values[found] == (max(values[point] for point in within) if within else min(values))
    if 0 < len(within) < len(values):
        assert found == (within[0] if falls else within[-1])  # the neighbour of what is beyond the target
    assert len(set(sizes.asked)) == len(sizes.asked)
    assert len(sizes.asked) <= GUESSES + 2 + math.ceil(math.log2(len(values)))


@given(st.lists(st.integers(0, 60), min_size=1, max_size=60), st.integers(-1, 61), st.data())
def test_sizes_in_no_order_give_the_best_that_was_looked_at(
    values: list[int], target: int, data: st.DataObject
) -> None:
    expected = data.draw(st.lists(anything, min_size=len(values), max_size=len(values)))
    sizes = Sizes(values)
    found = sizes.search(target, expected)
    tried = [values[point] for point in sizes.asked]
    assert values[found] == max((size for size in tried if size <= target), default=min(tried))


# ---- its cost ------------------------------------------------------------------------------------------------------


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


def encodes(expected: Sequence[float] | None) -> list[int]:
    """The number of encodes for each of many photographs, at targets that some n reaches."""
    generator = np.random.default_rng(0)
    counts = []
    for _ in range(200):
        values = curve_of(generator).astype(int)
        target = float(generator.uniform(values[-1], values[0]))
        sizes = Sizes(values.tolist())
        assert sizes.search(target, expected) == int(np.argmax(values <= target))
        counts.append(len(sizes.asked))
    return counts


def test_a_good_curve_saves_half_of_the_encodes() -> None:
    without = encodes(None)
    assert np.mean(without) == 10
    led = encodes(curve_of(None).tolist())
    assert np.mean(led) <= np.mean(without) / 2
    assert max(led) <= 10


def test_the_exact_curve_takes_three_encodes() -> None:
    """One to learn the picture's factor, and the two that prove each other."""
    values = curve_of(None)
    for factor in (0.8, 1.0, 1.3):
        sizes = Sizes((factor * values).astype(int).tolist())
        sizes.search(factor * float(values[100] + values[101]) / 2, values.tolist())
        assert len(sizes.asked) <= 3


@pytest.mark.parametrize("target", [1.0, 1e9])
def test_a_target_beyond_every_point_takes_the_two_ends(target: float) -> None:
    values = curve_of(None)
    sizes = Sizes(values.astype(int).tolist())
    assert sizes.search(target, values.tolist()) == (POINTS - 1 if target == 1 else 0)
    assert sorted(sizes.asked) == [0, POINTS - 1]


@pytest.mark.parametrize(
    "wrong", [curve_of(None)[::-1], np.ones(POINTS), np.full(POINTS, np.nan), np.full(POINTS, np.inf)]
)
def test_a_wrong_curve_costs_its_guesses_at_most(wrong: npt.NDArray[np.float64]) -> None:
    assert max(encodes(wrong.tolist())) <= 10 + GUESSES


# ---- a bundle with a fit -------------------------------------------------------------------------------------------

FIT = Fit([1.0, -0.9], -2.0, 2.0, 12.5)


def fitted(fit: Any) -> Recipe:
    """A bundle whose n has this fit, or none."""
    return replace(plain(), analysis=[analysis(scalar_shape=(), rate_fit=fit)])


@pytest.fixture
def opened(tmp_path: Path) -> Callable[[Any], Codec]:
    def open_fitted(fit: Any) -> Codec:
        folder = tmp_path / f"{len(list(tmp_path.iterdir()))}.bundle"
        return edgecodec.open_bundle(fitted(fit).write(folder), "onnxruntime", threads=1)

    return open_fitted


def test_a_bundle_says_how_the_rate_was_fitted(tmp_path: Path) -> None:
    info = edgecodec.inspect(fitted(FIT).write(tmp_path / "a.bundle"))
    assert isinstance(info, BundleInfo)
    assert info.knobs == (Knob("n", "encode", "", (), -2.0, 2.0, 0.5, RateFit(-2.0, 2.0, (1.0, -0.9), 12.5)),)


@pytest.mark.parametrize("share", [0.05, 0.5, 0.9])
@pytest.mark.parametrize("xmp", [None, b"x" * 900])
def test_a_fit_does_not_change_the_file(opened: Callable[[Any], Codec], share: float, xmp: bytes | None) -> None:
    """Neither one that is roughly right, nor one of the wrong slope, nor one that overflows."""
    noise = np.random.default_rng(0).integers(-128, 128, (3, 8, 12))
    picture = Picture(synthesised(noise), xmp=xmp)
    plainly = opened(None)
    largest, smallest = (plainly.encode(picture, n=n).info.bits_per_pixel for n in (-2, 2))
    target = smallest + share * (largest - smallest)
    encoded = plainly.encode(picture, target_bpp=target)
    for coefficients in ([2.0, -0.4], [0.0, 3.0], [1e308, -1e308]):
        led = opened(replace(FIT, coefficients=coefficients)).encode(picture, target_bpp=target)
        assert (led.data, led.notes) == (encoded.data, encoded.notes)


@pytest.mark.usefixtures("python_backend")
def test_a_fit_saves_encodes(opened: Callable[[Any], Codec], monkeypatch: pytest.MonkeyPatch) -> None:
    """Metadata, which the curve knows nothing of, is counted."""
    picture = Picture(synthesised(np.random.default_rng(0).integers(-128, 128, (3, 16, 24))), xmp=b"x" * 3000)
    rates = {n: opened(None).encode(picture, n=n).info for n in np.linspace(-2, 2, 9)}
    logarithms = [math.log2(8 * (each.file_bytes - 3000) / (each.width * each.height)) for each in rates.values()]
    curve = np.polynomial.Polynomial.fit(list(rates), logarithms, 7).convert()
    asked: list[Any] = []
    run = OnnxRuntime.run

    def counted(*given: Any) -> Any:
        asked.append(given)
        return run(*given)

    monkeypatch.setattr(OnnxRuntime, "run", counted)
    counts = []
    for fit in (None, replace(FIT, coefficients=curve.coef.tolist())):
        codec, before = opened(fit), len(asked)
        for share in (0.2, 0.5, 0.8):
            low, high = rates[2.0].bits_per_pixel, rates[-2.0].bits_per_pixel
            codec.encode(picture, target_bpp=low + share * (high - low))
        counts.append(len(asked) - before)
    assert counts[0] == 30 and counts[1] <= 14
