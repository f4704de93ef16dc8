"""What a page shows, without how it looks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class Embedded:
    """A picture as a lossless file. has_profile: whether its colours are those of an ICC profile, and not of sRGB."""

    format: Literal["png", "webp"]
    data: bytes = field(repr=False)
    has_profile: bool


@dataclass(frozen=True)
class Point:
    """A picture to choose on the page: the original, or one decode of a file.

    name: for people. file: the name of the file, without its folder. file_bytes: its size. psnr: in dB on 8-bit
    samples, infinite for equal pixels. ms_ssim: 0 to 1. Either is None for the original, and ms_ssim also where it
    cannot be computed.
    """

    name: str
    file: str
    file_bytes: int
    bits_per_pixel: float
    psnr: float | None
    ms_ssim: float | None
    picture: Embedded


@dataclass(frozen=True)
class Content:
    """A page. width, height: of every picture, in pixels. points: the original first, then at least one more."""

    title: str
    width: int
    height: int
    points: tuple[Point, ...]
