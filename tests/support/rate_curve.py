"""What the fit of a knob says, as docs/format.md defines it."""

from __future__ import annotations

import numpy as np

from edgecodec.description import RateFit


def bits_per_pixel(fit: RateFit, value: float) -> float:
    """The rate at a value of the knob; beyond low and high that at the end."""
    exponent = np.polyval(fit.coefficients[::-1], np.clip(value, fit.low, fit.high))
    return float(2**exponent)
