"""The mean difference in rate at equal quality (Bjontegaard 2001, VCEG-M33)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from edgecodec_evaluate.pchip import Pchip

#: Points that a curve needs. Interpolation would do with two, but the measure is defined, and known, for four.
LEAST_POINTS = 4

#: Rates in bits per pixel, and scores that are higher for better pictures.
Curve = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class BdRate:
    """percent: by how much the rate is higher than the reference's where both have the same score, on average over the
    scores from `low` to `high`; below 0 it is lower. None where that cannot be said, and then `reason` says why.
    """

    percent: float | None
    low: float | None = None
    high: float | None = None
    reason: str | None = None


def bd_rate(curve: Curve, reference: Curve) -> BdRate:
    """Compare a curve with a reference.

    The logarithm of the rate is interpolated over the score by piecewise cubics, as the Joint Collaborative Team on
    Video Coding does, and the difference is averaged over the scores that both curves have.
    """
    for name, each in (("the curve", curve), ("the reference", reference)):
        if (reason := _flaw(each)) is not None:
            return BdRate(None, reason=f"{name} {reason}")
    low = max(min(score for _, score in each) for each in (curve, reference))
    high = min(max(score for _, score in each) for each in (curve, reference))
    if low >= high:
        return BdRate(None, reason="the curves have no scores in common")
    difference = (_area(curve, low, high) - _area(reference, low, high)) / (high - low)
    return BdRate(100 * (10**difference - 1), low, high)


def _flaw(curve: Curve) -> str | None:
    if len(curve) < LEAST_POINTS:
        rates = f"{len(curve)} rates" if len(curve) > 1 else "one rate"
        return f"has {rates}, and {LEAST_POINTS} are needed"
    if any(not (rate > 0 and math.isfinite(rate) and math.isfinite(score)) for rate, score in curve):
        return "has a score or a rate that is no finite number"
    scores = [score for _, score in sorted(curve)]
    if any(after <= before for before, after in pairwise(scores)):
        return "does not rise with the rate"
    return None


def _area(curve: Curve, low: float, high: float) -> float:
    """Under the logarithm of the rate."""
    ordered = sorted(curve)
    return Pchip([score for _, score in ordered], [math.log10(rate) for rate, _ in ordered]).integral(low, high)
