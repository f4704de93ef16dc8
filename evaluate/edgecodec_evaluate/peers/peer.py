"""A format that Pillow writes, with an encoder whose one setting is a quality."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from PIL import Image

from edgecodec.errors import OutOfRange
from edgecodec.picture import Picture, Pixels


@dataclass(frozen=True)
class Peer:
    """name: as users type it. pillow: the format's name in Pillow. settings: of its encoder, besides the quality.

    qualities: those that are measured, ascending. lowest, highest: the range of what the encoder takes, for a file of
    a given size. wanting: what to do where it is not installed, None where it is; without it nothing else is called.
    version: of the encoder.
    """

    name: str
    title: str
    pillow: str
    settings: Mapping[str, int | str | bool]
    qualities: tuple[int, ...]
    lowest: int
    highest: int
    wanting: Callable[[], str | None]
    version: Callable[[], str]

    def encode(self, picture: Picture, quality: int) -> bytes:
        """The whole file, without metadata. Raises OutOfRange for a picture that the format cannot hold."""
        stream = io.BytesIO()
        try:
            picture.bare_image().save(stream, self.pillow, quality=quality, **self.settings)
        except (
            OSError,
            RuntimeError,
            ValueError,
        ) as error:  # whatever Pillow's writers raise for sides that are too long
            width, height = picture.bare_image().size
            raise OutOfRange(
                f"{self.title} cannot hold {width}x{height} pixels: {error}",
                hint=f"leave {self.name} out, or the picture",
            ) from error
        return stream.getvalue()

    def decode(self, data: bytes) -> Pixels:
        """uint8 (height, width, 3)"""
        with Image.open(io.BytesIO(data), formats=[self.pillow]) as image:
            return np.asarray(image.convert("RGB"))


def encode_near(peer: Peer, picture: Picture, size: int) -> bytes:
    """The file whose size comes nearest to `size` bytes, over the whole range of qualities.

    Sizes are taken to rise with the quality, so that few files have to be made.
    """
    low, high = peer.lowest, peer.highest
    below, above = peer.encode(picture, low), peer.encode(picture, high)
    while high - low > 1:
        middle = (low + high) // 2
        file = peer.encode(picture, middle)
        if len(file) < size:
            low, below = middle, file
        else:
            high, above = middle, file
    return min((below, above), key=lambda file: abs(len(file) - size))
