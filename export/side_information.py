"""Labels and masks for checks: what is given with a picture where a codec takes more than the picture."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Plane = npt.NDArray[np.uint8]


def banded_labels(classes: int, height: int, width: int) -> Plane:
    """(height, width) in upright bands, all classes in turn."""
    bands = np.arange(width) * classes // width
    return np.ascontiguousarray(np.broadcast_to(bands.astype(np.uint8), (height, width)))


def central_mask(height: int, width: int) -> Plane:
    """(height, width), 1 in the middle and 0 towards the edges."""
    mask = np.zeros((height, width), np.uint8)
    mask[height // 4 : height - height // 4, width // 4 : width - width // 4] = 1
    return mask
