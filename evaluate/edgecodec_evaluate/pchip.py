"""Piecewise cubic interpolation that rises wherever its points rise (Fritsch, Carlson 1980)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


class Pchip:
    """A curve through points, x strictly ascending, at least two of them.

    Its slopes inside are the weighted harmonic means of Fritsch, Butland 1984, equation (5); at both ends they are
    those of the parabola through the last three points, bounded so that the curve does not overshoot.
    """

    def __init__(self, x: Sequence[float], y: Sequence[float]) -> None:
        """Raises ValueError for points that are none of a curve."""
        self._x, self._y = np.array(x, np.float64), np.array(y, np.float64)
        if self._x.ndim != 1 or self._x.shape != self._y.shape or len(self._x) < 2:
            raise ValueError("a curve needs two points, each with an x and a y")
        self._widths = np.diff(self._x)
        if not (self._widths > 0).all():
            raise ValueError("x does not ascend")
        self._slopes = _slopes(self._widths, np.diff(self._y) / self._widths)

    def integral(self, low: float, high: float) -> float:
        """From low to high, both within the points."""
        if not self._x[0] <= low <= high <= self._x[-1]:
            raise ValueError(f"{low} to {high} is not within {self._x[0]} and {self._x[-1]}")
        start, end = (np.clip((limit - self._x[:-1]) / self._widths, 0, 1) for limit in (low, high))
        return float((self._widths * (self._antiderivative(end) - self._antiderivative(start))).sum())

    def _antiderivative(self, t: Array) -> Array:
        """Of each piece of Hermite's form from its beginning to t, which goes from 0 to 1 over the piece."""
        rise, fall = self._widths * self._slopes[:-1], self._widths * self._slopes[1:]
        first, last = self._y[:-1], self._y[1:]
        cubic = 2 * (first - last) + rise + fall
        square = 3 * (last - first) - 2 * rise - fall
        integral: Array = t * (first + t * (rise / 2 + t * (square / 3 + t * cubic / 4)))
        return integral


def _slopes(widths: Array, secants: Array) -> Array:
    if len(secants) == 1:
        return np.repeat(secants, 2)
    before, after = secants[:-1], secants[1:]
    weight = widths[:-1] + 2 * widths[1:]  # of the secant before: the longer the other piece, the more it counts
    other = 2 * widths[:-1] + widths[1:]
    same_sign = before * after > 0
    safe_before, safe_after = np.where(same_sign, before, 1), np.where(same_sign, after, 1)
    inside = np.where(same_sign, (weight + other) / (weight / safe_before + other / safe_after), 0)
    first = _slope_at_end(widths[0], widths[1], secants[0], secants[1])
    last = _slope_at_end(widths[-1], widths[-2], secants[-1], secants[-2])
    return np.array([first, *inside, last])


def _slope_at_end(width: float, next_width: float, secant: float, next_secant: float) -> float:
    """Of a parabola through three points at the outer one, kept within what leaves the curve monotone."""
    slope = ((2 * width + next_width) * secant - width * next_secant) / (width + next_width)
    if slope * secant <= 0:
        return 0.0
    if secant * next_secant <= 0 and abs(slope) > 3 * abs(secant):
        return 3 * secant
    return slope
