"""Sheets to look at: pictures in rows and columns, each under its name and what was measured of it."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from edgecodec import files
from edgecodec.errors import InvalidArgument
from edgecodec.picture import Pixels

#: Its error is well below that of the pictures that are shown. Lossless WebP is larger than PNG where they are noisy.
WEBP_QUALITY = 90
MOST_WEBP_PIXELS = 16383  # a side
#: Suffix: the format's name and options.
FORMATS: dict[str, tuple[str, dict[str, Any]]] = {
    ".png": ("PNG", {"optimize": True}),
    ".webp": ("WEBP", {"quality": WEBP_QUALITY, "method": 6, "use_sharp_yuv": True}),
}

GAP, ROW_GAP, BLOCK_GAP = 8, 12, 30  # pixels; GAP is also the margin
LEAST_WIDTH = 64  # of a column, so that captions of tiny pictures can be read
_WHITE = (255, 255, 255)


@dataclass(frozen=True)
class Cell:
    """A picture and its caption. pixels: uint8 (H, W, 3)."""

    name: str
    numbers: str
    pixels: Pixels


@dataclass(frozen=True)
class _Style:
    """How one part of a caption is written. Sizes are legible where a phone shows a sheet at half size."""

    size: int
    line: int
    colour: tuple[int, int, int]

    def font(self) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
        return _font(self.size)


_NAME, _NUMBERS = _Style(18, 22, (34, 34, 34)), _Style(15, 20, (95, 95, 95))


def draw(blocks: Sequence[Sequence[Sequence[Cell]]], *, zoom: int = 1) -> Image.Image:
    """The sheet of blocks, which have rows of cells and stand further apart than rows do.

    Every pixel of a picture becomes zoom x zoom pixels. Rows may have different numbers of pictures, and those any
    sizes. Raises InvalidArgument where there is no picture, and for arrays that are none.
    """
    rows = [[_Row(row, zoom) for row in block if row] for block in blocks]
    every = [row for block in rows for row in block]
    if not every:
        raise InvalidArgument("a sheet needs a picture")
    columns = max(len(row.widths) for row in every)
    widths = [max(row.widths[i] for row in every if i < len(row.widths)) for i in range(columns)]
    heights = [sum(row.height for row in block) + ROW_GAP * (len(block) - 1) for block in rows if block]
    size = GAP + sum(width + GAP for width in widths), 2 * GAP + sum(heights) + BLOCK_GAP * (len(heights) - 1)
    sheet = Image.new("RGB", size, _WHITE)
    top = GAP
    for block in filter(None, rows):
        for row in block:
            row.draw(sheet, top, widths)
            top += row.height + ROW_GAP
        top += BLOCK_GAP - ROW_GAP
    return sheet


def write(path: Path, sheet: Image.Image) -> None:
    """In the format that the suffix of `path` names, .png or .webp; an old sheet there is replaced.

    Raises InvalidArgument for another suffix and for a sheet too large for WebP; CannotWrite.
    """
    suffix = path.suffix.lower()
    if suffix not in FORMATS:
        raise InvalidArgument(
            f"is no format of a sheet: {suffix!r}", where=str(path), hint=f"use {' or '.join(FORMATS)}"
        )
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

    def __init__(self, cells: Sequence[Cell], zoom: int) -> None:
        for cell in cells:
            if cell.pixels.dtype != np.uint8 or cell.pixels.shape[2:] != (3,) or not cell.pixels.size:
                raise InvalidArgument(
                    f"the picture {cell.name!r} is {cell.pixels.dtype} {cell.pixels.shape}",
                    hint="give uint8 (height, width, 3)",
                )
        self._pictures = [Image.fromarray(np.repeat(np.repeat(cell.pixels, zoom, 0), zoom, 1)) for cell in cells]
        self.widths = [max(picture.width, LEAST_WIDTH) for picture in self._pictures]
        self._captions = [_caption(cell, width) for cell, width in zip(cells, self.widths, strict=True)]
        self._caption_height = max(sum(style.line for style, _ in lines) for lines in self._captions)
        self.height = self._caption_height + max(picture.height for picture in self._pictures)

    def draw(self, sheet: Image.Image, top: int, widths: Sequence[int]) -> None:
        """widths: of the columns."""
        pen = ImageDraw.Draw(sheet)
        left = GAP
        for picture, lines, width in zip(self._pictures, self._captions, widths, strict=False):
            # The last line is next to the picture.
            above = top + self._caption_height - sum(style.line for style, _ in lines)
            for style, text in lines:
                pen.text((left, above), text, style.colour, style.font())
                above += style.line
            sheet.paste(picture, (left, top + self._caption_height))
            left += width + GAP


def _caption(cell: Cell, width: int) -> list[tuple[_Style, str]]:
    parts = ((_NAME, cell.name), (_NUMBERS, cell.numbers))
    return [(style, line) for style, text in parts for line in _lines(text, width, style)]


def _lines(text: str, width: int, style: _Style) -> list[str]:
    """The text broken between words, and within those that are wider than the column."""
    lines: list[str] = []
    for word in text.split():
        if lines and style.font().getlength(f"{lines[-1]} {word}") <= width:
            lines[-1] = f"{lines[-1]} {word}"
            continue
        lines.append("")
        for letter in word:
            if lines[-1] and style.font().getlength(lines[-1] + letter) > width:
                lines.append("")
            lines[-1] += letter
    return lines


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
