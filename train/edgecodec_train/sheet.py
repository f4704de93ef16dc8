"""Contact sheets, by which a person watches what a model makes of a few photographs."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from edgecodec import files
from edgecodec.errors import InvalidArgument

FONT_SIZE = 13  # pixels
LINE_HEIGHT = 17
GAP = 8  # pixels between pictures, and around the sheet
BACKGROUND, INK = (255, 255, 255), (32, 32, 32)

#: Suffix: the format's name and options. Lossless WebP would be larger than PNG where pictures are noisy.
FORMATS: dict[str, tuple[str, dict[str, Any]]] = {".png": ("PNG", {}), ".webp": ("WEBP", {"quality": 90})}
MOST_WEBP_PIXELS = 16383  # a side


@dataclass(frozen=True)
class SheetRow:
    """One photograph: the original, then what a model makes of it. pictures: captions, and uint8 (H, W, 3) pixels."""

    pictures: Sequence[tuple[str, npt.NDArray[np.uint8]]]


def write_sheet(path: Path, rows: Sequence[SheetRow]) -> None:
    """Write the pictures in a grid, none of them scaled, each under its caption. A suffix is a format: .png or .webp.

    Rows may have different numbers of pictures, and those any sizes. An old sheet at `path` is replaced.

    Raises InvalidArgument for another suffix, no pictures, arrays that are not pictures, and a sheet too large for
    WebP; CannotWrite.
    """
    suffix = path.suffix.lower()
    if suffix not in FORMATS:
        raise InvalidArgument(
            f"is no format of a sheet: {suffix!r}", where=str(path), hint=f"use {' or '.join(FORMATS)}"
        )
    for caption, pixels in (picture for row in rows for picture in row.pictures):
        if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or not pixels.size:
            raise InvalidArgument(
                f"the picture {caption!r} is {pixels.dtype} {pixels.shape}", hint="give uint8 (height, width, 3)"
            )
    sheet = _draw([_Row(row) for row in rows if row.pictures], str(path))
    if suffix == ".webp" and max(sheet.size) > MOST_WEBP_PIXELS:
        raise InvalidArgument(
            f"a sheet of {sheet.width}x{sheet.height} is longer than WebP's {MOST_WEBP_PIXELS} pixels a side",
            where=str(path),
            hint="use .png, or fewer rows",
        )
    content = io.BytesIO()
    name, options = FORMATS[suffix]
    sheet.save(content, name, **options)
    files.write(path, content.getbuffer(), force=True)


class _Row:
    """A row with its captions broken into lines."""

    def __init__(self, row: SheetRow) -> None:
        self.pictures = [Image.fromarray(np.ascontiguousarray(pixels)) for _, pixels in row.pictures]
        pairs = zip(row.pictures, self.pictures, strict=True)
        self.captions = [_lines(caption, picture.width) for (caption, _), picture in pairs]
        self.caption_height = LINE_HEIGHT * max(len(lines) for lines in self.captions)
        self.height = self.caption_height + max(picture.height for picture in self.pictures) + GAP


def _draw(rows: Sequence[_Row], where: str) -> Image.Image:
    if not rows:
        raise InvalidArgument("a sheet needs a picture", where=where)
    columns = max(len(row.pictures) for row in rows)
    widths = [
        max(row.pictures[column].width for row in rows if column < len(row.pictures)) + GAP for column in range(columns)
    ]
    sheet = Image.new("RGB", (GAP + sum(widths), GAP + sum(row.height for row in rows)), BACKGROUND)
    pen = ImageDraw.Draw(sheet)
    top = GAP
    for row in rows:
        left = GAP
        for picture, lines, width in zip(row.pictures, row.captions, widths, strict=False):
            first = top + row.caption_height - LINE_HEIGHT * len(lines)  # the last line is next to the picture
            for number, line in enumerate(lines):
                pen.text((left, first + LINE_HEIGHT * number), line, INK, _font())
            sheet.paste(picture, (left, top + row.caption_height))
            left += width
        top += row.height
    return sheet


def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(FONT_SIZE)


def _lines(caption: str, width: int) -> list[str]:
    """The caption broken between words, and within those that are wider than the picture."""
    lines: list[str] = []
    for word in caption.split():
        if lines and _fits(f"{lines[-1]} {word}", width):
            lines[-1] = f"{lines[-1]} {word}"
            continue
        lines.append("")
        for letter in word:
            if lines[-1] and not _fits(lines[-1] + letter, width):
                lines.append("")
            lines[-1] += letter
    return lines or [""]


def _fits(text: str, width: int) -> bool:
    return _font().getlength(text) <= width
