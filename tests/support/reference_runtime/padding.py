"""Padding of a picture for the encoder, and the decoder's pixels as the file stores them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edgecodec.description import Padding, PaddingRule
from edgecodec.errors import OutOfRange

#: uint8 (height, width, 3), or (height, width) when greyscale.
Pixels = npt.NDArray[np.uint8]

_GREY = 128


def aligned(side: int, alignment: int) -> int:
    """`side` rounded up to a multiple of `alignment`."""
    return -(-side // alignment) * alignment


def encoder_side(side: int, padding: Padding) -> int:
    """Length of a side of a picture after padding for the analysis graph, in pixels."""
    return aligned(max(side, padding.smallest_side), padding.alignment)


def check_room(width: int, height: int, padding: Padding, alignment: int) -> None:
    """Raise OutOfRange for a picture too small for the networks. alignment: of the entropy model."""
    smallest = aligned(padding.smallest_side, alignment) - alignment + 1
    if min(width, height) < smallest:
        raise OutOfRange(
            f"{width}x{height} is too small for this codec: the smallest picture has {smallest} pixels a side"
        )


def pad(pixels: Pixels, rows: int, columns: int, rule: PaddingRule) -> Pixels:
    """uint8 (rows, columns, 3) for an encoder: padded below and to the right."""
    height, width = pixels.shape[:2]
    if pixels.ndim == 2:
        pixels = np.broadcast_to(pixels[:, :, None], (height, width, 3))
    beyond = ((0, rows - height), (0, columns - width), (0, 0))
    if rule == "grey":
        return np.pad(pixels, beyond, constant_values=_GREY)
    return np.pad(pixels, beyond, mode="reflect")


def as_stored(picture: Pixels, *, greyscale: bool) -> Pixels:
    """A decoder's uint8 (height, width, 3) as the file says: greyscale is the mean of the channels, rounded."""
    if not greyscale:
        return picture
    return np.floor(picture.mean(axis=2) + 0.5).astype(np.uint8)
