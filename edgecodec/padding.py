"""From a picture's pixels to what an encoder takes, and from what a decoder gives to a picture's pixels."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

#: uint8 (height, width, 3), or (height, width) when greyscale.
Pixels = npt.NDArray[np.uint8]


def pad(pixels: Pixels, alignment: int) -> Pixels:
    """uint8 (rows, columns, 3) for an encoder: sides grown to multiples of `alignment` by reflection, below and right.

    A side of n pixels reflects with period 2n - 2, so that it works however small the picture; a single pixel repeats.
    """
    height, width = pixels.shape[:2]
    if pixels.ndim == 2:
        pixels = np.broadcast_to(pixels[:, :, None], (height, width, 3))
    below, right = -height % alignment, -width % alignment
    if below or right:
        pixels = np.pad(pixels, ((0, below), (0, right), (0, 0)), mode="reflect")
    return np.ascontiguousarray(pixels)


def crop(image: Pixels, width: int, height: int, *, greyscale: bool) -> Pixels:
    """The inverse of `pad` for a decoder's uint8 (rows, columns, 3). Grey is the mean of the channels, rounded."""
    image = image[:height, :width]
    if greyscale:
        total = np.add(image[:, :, 0], image[:, :, 1], dtype=np.uint16)
        total += image[:, :, 2]
        return ((total + 1) // 3).astype(np.uint8)
    return np.ascontiguousarray(image)
