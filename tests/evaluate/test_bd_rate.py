"""Mean differences in rate are those of Bjontegaard's measure, and are not made up where there are none."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.interpolate import PchipInterpolator

from edgecodec_evaluate.bd_rate import Curve, bd_rate
from edgecodec_evaluate.pchip import Pchip

#: Rates and PSNRs like those of two generations of codecs.
OLD = [(0.10, 27.0), (0.22, 29.1), (0.45, 31.6), (0.90, 34.5), (1.80, 37.9)]
NEW = [(0.07, 26.4), (0.16, 29.0), (0.33, 31.9), (0.70, 35.0)]


@given(
    st.lists(
        st.tuples(st.floats(0.01, 5), st.integers(-50, 50).map(lambda tenths: tenths / 10)), min_size=2, max_size=8
    ),
    st.floats(0, 1),
    st.floats(0, 1),
)
def test_interpolation_is_that_of_scipy(pieces: list[tuple[float, float]], one: float, other: float) -> None:
    x, y = np.cumsum([width for width, _ in pieces]), [value for _, value in pieces]
    low, high = (x[0] + part * (x[-1] - x[0]) for part in sorted((one, other)))
    expected = PchipInterpolator(x, y).integrate(min(low, x[-1]), min(high, x[-1]))
    assert Pchip(list(x), y).integral(min(low, x[-1]), min(high, x[-1])) == pytest.approx(expected, abs=1e-9)


def test_interpolation_does_not_leave_its_points() -> None:
    curve = Pchip([0, 1, 2], [0, 1, 1])
    assert curve.integral(1, 2) == pytest.approx(1)  # a parabola or a spline would go above
    with pytest.raises(ValueError, match="not within"):
        curve.integral(0, 2.1)
    for x, y in (([0.0], [0.0]), ([0.0, 0.0], [0.0, 1.0]), ([0.0, 1.0], [0.0])):
        with pytest.raises(ValueError, match=r"a curve needs two|does not ascend"):
            Pchip(x, y)


def test_the_measure_is_the_mean_logarithm_between_the_curves() -> None:
    found = bd_rate(NEW, OLD)
    low, high = 27.0, 35.0

    def area(curve: Curve) -> float:
        rates, scores = zip(*curve, strict=True)
        return float(PchipInterpolator(scores, np.log10(rates)).integrate(low, high))

    expected = 100 * (10 ** ((area(NEW) - area(OLD)) / (high - low)) - 1)
    assert (found.low, found.high) == (low, high)
    assert found.percent == pytest.approx(expected) and -40 < expected < -20


def test_an_example_by_hand() -> None:
    """Straight lines of log10(rate): score / 10 and 0.05 + score / 8, over the scores from 10 to 40.

    Their difference, 0.05 + score / 40, is 0.675 in the mean, and 10^0.675 = 4.7315.
    """
    reference = [(10 ** (score / 10), score) for score in (0.0, 10.0, 25.0, 40.0)]
    curve = [(10 ** (0.05 + score / 8), score) for score in (10.0, 20.0, 30.0, 44.0)]
    found = bd_rate(curve, reference)
    assert (found.low, found.high) == (10, 40)
    assert found.percent == pytest.approx(373.15, abs=0.01)


def test_a_tenth_less_everywhere_is_a_tenth_less_and_the_order_of_points_does_not_matter() -> None:
    less = [(0.9 * rate, score) for rate, score in OLD]
    assert bd_rate(less[::-1], OLD).percent == pytest.approx(-10)
    assert bd_rate(OLD, less).percent == pytest.approx(100 / 9)
    assert bd_rate(OLD, OLD).percent == pytest.approx(0)


@pytest.mark.parametrize(
    ("curve", "reason"),
    [
        (OLD[:3], "the curve has 3 rates, and 4 are needed"),
        (OLD[:1], "the curve has one rate, and 4 are needed"),
        ([(rate, score + 20) for rate, score in OLD], "the curves have no scores in common"),
        ([*OLD[:3], (0.9, 31.6), (1.2, 33.0)], "the curve does not rise with the rate"),
        ([*OLD, (3.0, 37.0)], "the curve does not rise with the rate"),
        ([*OLD, (4.0, math.inf)], "the curve has a score or a rate that is no finite number"),
    ],
)
def test_what_cannot_be_compared_has_no_number_but_a_reason(curve: Curve, reason: str) -> None:
    found = bd_rate(curve, OLD)
    assert (found.percent, found.reason) == (None, reason)
    assert bd_rate(OLD, curve).reason == reason.replace("the curve ", "the reference ")
