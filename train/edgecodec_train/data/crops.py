"""Batches of crops, and whole photographs, as tensors."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from edgecodec.errors import InvalidArgument, OutOfRange
from edgecodec_train.data.photographs import Photo, Pictures

#: How crops are mirrored, each way half of them: left to right, and upside down as well.
Mirror = Literal["none", "horizontal", "both"]

FILTER = Image.Resampling.LANCZOS
FILTER_SUPPORT = 3  # of its output pixels, to each side


def random_crops(
    pictures: Pictures,
    side: int,
    batch: int,
    generator: np.random.Generator,
    *,
    mirror: Mirror = "horizontal",
    downscale: tuple[float, float] | None = None,
) -> Tensor:
    """(batch, 3, side, side) float32 in [0, 1], channels last: random crops of random pictures.

    downscale: a range of factors in (0, 1]; each picture is resized by one of them before it is cropped, but never to
    less than a crop. Mentzer et al. 2020 take 0.75 to 0.95.

    Raises InvalidArgument for another range and an unknown `mirror`, and what drawing a picture raises.
    """
    if downscale is not None and not 0 < downscale[0] <= downscale[1] <= 1:
        raise InvalidArgument(f"downscale is {downscale}", hint="give two factors in order, above 0 and up to 1")
    crops = np.empty((batch, side, side, 3), np.uint8)
    for crop in crops:
        photo = pictures.draw(generator, side)
        drawn = _crop(photo, side, generator) if downscale is None else _scaled(photo, side, downscale, generator)
        crop[:] = drawn[draw_mirroring(mirror, generator)]
    return as_images(crops)


def _crop(photo: Photo, side: int, generator: np.random.Generator) -> Photo:
    top, left = (int(generator.integers(length - side + 1)) for length in photo.shape[:2])
    return photo[top : top + side, left : left + side]


def _scaled(photo: Photo, side: int, factors: tuple[float, float], generator: np.random.Generator) -> Photo:
    """A crop of the photo as it is when resized: only the region that the crop comes from is resized."""
    factor = max(generator.uniform(*factors), side / min(photo.shape[:2]))
    region = side / factor
    corner = [generator.uniform(0, max(length - region, 0)) for length in photo.shape[:2]]
    reach = FILTER_SUPPORT / factor + 1  # the filter sees pixels around the region too
    first = [max(math.floor(start - reach), 0) for start in corner]
    last = [min(math.ceil(start + region + reach), length) for start, length in zip(corner, photo.shape, strict=False)]
    around = Image.fromarray(np.ascontiguousarray(photo[first[0] : last[0], first[1] : last[1]]))
    top, left = (start - before for start, before in zip(corner, first, strict=True))
    box = (left, top, min(left + region, around.width), min(top + region, around.height))
    return np.asarray(around.resize((side, side), FILTER, box))


def draw_mirroring(mirror: Mirror, generator: np.random.Generator) -> tuple[slice, slice]:
    """What to index rows and columns with, so that half of all crops are mirrored each way."""
    if mirror not in get_args(Mirror):
        raise InvalidArgument(f"mirror is {mirror!r}", hint=f"use {', '.join(get_args(Mirror))}")
    columns = mirror != "none" and generator.integers(2)
    rows = mirror == "both" and generator.integers(2)
    return slice(None, None, -1 if rows else 1), slice(None, None, -1 if columns else 1)


def as_images(crops: npt.NDArray[np.uint8]) -> Tensor:
    """uint8 (B, H, W, 3) as float32 (B, 3, H, W) in [0, 1], channels last."""
    return torch.from_numpy(crops).permute(0, 3, 1, 2).to(torch.float32) / 255


def as_bytes(image: Tensor) -> Photo:
    """The first picture of (B, 3, H, W) in about [0, 1] as (H, W, 3) bytes, rounded."""
    return (image[0].clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).cpu().numpy()


def whole_photo(photo: Photo, multiple: int) -> Tensor:
    """(1, 3, H, W) float32 in [0, 1]: cropped at the right and bottom to a multiple of `multiple` pixels."""
    height, width = (side // multiple * multiple for side in photo.shape[:2])
    return as_images(photo[None, :height, :width].copy())


def require_sides(photos: Iterable[Photo], least: int) -> None:
    """Raise OutOfRange if a side of any of them is less than `least` pixels, before the first step."""
    small = [photo.shape[:2] for photo in photos if min(photo.shape[:2]) < least]
    if small:
        height, width = min(small, key=min)
        raise OutOfRange(
            f"pictures smaller than {least} pixels a side: {len(small)}, one of them {width}x{height}",
            hint="leave them out, or take smaller crops",
        )
