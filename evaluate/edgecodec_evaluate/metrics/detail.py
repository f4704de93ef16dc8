"""How much fine detail a picture has, whether it is the right one or not."""

from __future__ import annotations

import numpy as np

from edgecodec.picture import Pixels

_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601


def detail(original: Pixels, rebuilt: Pixels) -> float | None:
    """Energy of what means over 2x2 pixels leave out of the luma, relative to the original's.

    1 is as much as in the original, less is smoother, more is noisier. None where the original has none.
    """
    there = energy(original)
    return energy(rebuilt) / there if there else None


def energy(pixels: Pixels) -> float:
    """The mean square, in squared levels of 255; 0 for a picture without two rows and columns."""
    rows, columns = (side // 2 for side in pixels.shape[:2])
    if not rows or not columns:
        return 0.0
    luma = (pixels[: 2 * rows, : 2 * columns] @ np.array(_LUMA)).reshape(rows, 2, columns, 2)
    return float(np.square(luma - luma.mean((1, 3), keepdims=True)).mean())
