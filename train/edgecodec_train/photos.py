"""Training photographs: tar shards of pictures, decoded once and kept in memory as bytes."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from edgecodec import picture
from edgecodec.errors import EdgecodecError
from edgecodec.limits import ANY

Photo = npt.NDArray[np.uint8]  # (H, W, 3)


@dataclass(frozen=True)
class PhotoSet:
    """Photographs, split once, in order of name: one in `held_out` goes to validation and is never trained on."""

    training: list[Photo]
    validation: list[Photo]
    sha256: dict[str, str]  # of each shard, for the recipe


def load_photos(shards: Sequence[Path], held_out: int = 64) -> PhotoSet:
    """Read every picture of the tar files `shards` (any format Pillow opens), in order of name.

    Raises FileNotFoundError for a missing shard, ValueError for one without pictures and for so few in all that none is
    left to train on or to validate, and what `read_photo` raises.
    """
    photos: list[Photo] = []
    sha256 = {}
    for shard in sorted(shards):
        data = shard.read_bytes()
        sha256[shard.name] = hashlib.sha256(data).hexdigest()
        found = list(_pictures(data))
        if not found:
            raise ValueError(f"{shard}: no pictures in this tar file")
        photos += found
    validation = photos[held_out - 1 :: held_out]
    training = [photo for i, photo in enumerate(photos) if i % held_out != held_out - 1]
    if not training or not validation:
        purpose = "validate" if training else "train on"
        raise ValueError(f"every {held_out}th of {len(photos)} photographs is held out, which leaves none to {purpose}")
    return PhotoSet(training, validation, sha256)


def _pictures(data: bytes) -> Iterator[Photo]:
    with tarfile.open(fileobj=io.BytesIO(data)) as shard:
        for member in sorted(shard.getmembers(), key=lambda member: member.name):
            stream = shard.extractfile(member) if member.isfile() else None
            if stream is not None:
                yield read_photo(stream.read(), member.name)


def read_photo(content: bytes, name: str) -> Photo:
    """The picture in a file, as the runtime reads it: upright. Raises the runtime's errors, with the file's name."""
    try:
        pixels = picture.read(content, ANY, "drop").pixels
    except EdgecodecError as error:
        error.locate(name)
        raise
    return pixels if pixels.ndim == 3 else np.repeat(pixels[:, :, None], 3, axis=2)


def require_sides(photos: Iterable[Photo], least: int) -> None:
    """Raise ValueError if a side of any of them is less than `least` pixels: at once, not when it is drawn."""
    small = [photo.shape[:2] for photo in photos if min(photo.shape[:2]) < least]
    if small:
        height, width = min(small, key=min)
        raise ValueError(f"pictures smaller than {least} pixels a side: {len(small)}, one of them {width}x{height}")


def random_crops(photos: Sequence[Photo], side: int, batch: int, generator: np.random.Generator) -> Tensor:
    """(batch, 3, side, side) float32 in [0, 1], channels last: random crops, half of them mirrored."""
    crops = np.empty((batch, side, side, 3), np.uint8)
    for i in range(batch):
        photo = photos[int(generator.integers(len(photos)))]
        top = generator.integers(photo.shape[0] - side + 1)
        left = generator.integers(photo.shape[1] - side + 1)
        crop = photo[top : top + side, left : left + side]
        crops[i] = crop[:, ::-1] if generator.integers(2) else crop
    return torch.from_numpy(crops).permute(0, 3, 1, 2).to(torch.float32) / 255


def whole_photo(photo: Photo, multiple: int) -> Tensor:
    """(1, 3, H, W) float32 in [0, 1]: the photograph cropped at its right and bottom to a multiple."""
    height, width = (side // multiple * multiple for side in photo.shape[:2])
    return torch.from_numpy(photo[:height, :width].copy()).permute(2, 0, 1)[None].to(torch.float32) / 255
