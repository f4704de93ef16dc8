"""How much fine detail a picture has, whether it is the right one or not."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edgecodec.picture import Pixels

_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601


def detail(original: Pixels, rebuilt: Pixels) -> float | None:
    """Energy of what means over 2x2 pixels leave out of the luma, relative to the original's.

    1 is as much as in the original, less is smoother, more is noisier. None where the original has none.
    """
    there = float(energies(original).sum())
    return float(energies(rebuilt).sum()) / there if there else None


def energies(pixels: Pixels) -> npt.NDArray[np.float64]:
    """(height // 2, width // 2), the mean square of each 2x2 pixels around their mean, in squared levels of 255."""
    rows, columns = (side // 2 for side in pixels.shape[:2])
    luma = (pixels[: 2 * rows, : 2 * columns] @ np.array(_LUMA)).reshape(rows, 2, columns, 2)
    around_mean: npt.NDArray[np.float64] = luma.var((1, 3))
    return around_mean
