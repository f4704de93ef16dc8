"""Peak signal-to-noise ratio."""

from __future__ import annotations

import math

import numpy as np

from edgecodec.picture import Pixels

_PEAK = 255


def psnr(original: Pixels, rebuilt: Pixels) -> float:
    """10 log10(255^2 / MSE) in dB, over all samples of the three channels together; infinite for equal pictures."""
    difference = original.astype(np.int32) - rebuilt
    squares = int(np.square(difference).sum(dtype=np.int64))
    return 10 * math.log10(_PEAK * _PEAK * original.size / squares) if squares else math.inf
