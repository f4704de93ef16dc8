"""Calibration photographs: one half sets the ranges of integer activations, the other measures what integers cost.

The first half, in order of file name, calibrates. The cost is measured on pictures that did not calibrate the model.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from edgecodec.errors import InvalidArgument, NotAnImage

Picture = npt.NDArray[np.uint8]  # (H, W, 3)

DEFAULT_FOLDER = Path(__file__).parent / "calibration_photos"
SUFFIXES = {".bmp", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"}
LONGEST_SIDE = 768  # pixels taken from the middle of larger pictures


@dataclass(frozen=True)
class CalibrationPictures:
    """Pictures whose sides are multiples of the alignment. No picture is in both halves."""

    calibrating: list[Picture]
    measuring: list[Picture]


def load_calibration_pictures(folder: Path | None, alignment: int, smallest_side: int = 1) -> CalibrationPictures:
    """Every picture of `folder` (None: those that come with edgecodec), cut to multiples of `alignment` pixels.

    smallest_side: the smallest side in pixels that the networks take. Raises InvalidArgument for fewer than two
    pictures and for a picture with a side below `smallest_side` or `alignment`, NotAnImage for a damaged one.
    """
    source = DEFAULT_FOLDER if folder is None else folder
    files = sorted(file for file in source.glob("*") if file.suffix.lower() in SUFFIXES)
    if len(files) < 2:
        raise InvalidArgument(
            f"{len(files)} pictures, but at least two are needed: one to calibrate, one to measure", where=str(source)
        )
    pictures = [_read(file, alignment, smallest_side) for file in files]
    half = (len(pictures) + 1) // 2
    return CalibrationPictures(pictures[:half], pictures[half:])


def to_tensor(picture: Picture) -> Tensor:
    """A picture (H, W, 3) of bytes as (1, 3, H, W) float32 in [0, 1]."""
    return torch.from_numpy(picture).permute(2, 0, 1)[None].to(torch.float32) / 255


def crop(picture: Picture, height: int, width: int) -> Picture:
    """The top left corner of `height` by `width` pixels; a smaller picture is repeated."""
    rows, columns = np.arange(height) % picture.shape[0], np.arange(width) % picture.shape[1]
    return np.ascontiguousarray(picture[rows][:, columns])


def _read(file: Path, alignment: int, smallest_side: int) -> Picture:
    try:
        with Image.open(file) as opened:
            pixels = np.asarray(opened.convert("RGB"))
    except (UnidentifiedImageError, OSError) as error:
        raise NotAnImage(str(error), where=str(file)) from error
    height, width = (min(side, LONGEST_SIDE) // alignment * alignment for side in pixels.shape[:2])
    least = max(alignment, smallest_side)
    if min(height, width) < least:
        raise InvalidArgument(f"smaller than {least} pixels a side", where=str(file))
    top, left = (pixels.shape[0] - height) // 2, (pixels.shape[1] - width) // 2
    # A copy, because arrays from Pillow are read-only and PyTorch warns about read-only arrays.
    return pixels[top : top + height, left : left + width].copy()
