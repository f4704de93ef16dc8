"""A sheet has every pixel of its pictures as it is, in rows and columns, each under its caption."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from edgecodec.errors import CannotWrite, InvalidArgument
from edgecodec_evaluate.sheet import BLOCK_GAP, GAP, LEAST_WIDTH, MOST_WEBP_PIXELS, ROW_GAP, Cell, draw, write

Bytes = npt.NDArray[np.uint8]


def _picture(seed: int, height: int = 60, width: int = 80) -> Bytes:
    return np.random.default_rng(seed).integers(1, 255, (height, width, 3), np.uint8)


def _place(sheet: Image.Image, picture: Bytes) -> tuple[int, int]:
    """Top and left of the one place where the picture is in the sheet, with every pixel as it was."""
    pixels = np.asarray(sheet)
    found = []
    for top, left in np.argwhere((pixels == picture[0, 0]).all(2)):
        region = pixels[top : top + picture.shape[0], left : left + picture.shape[1]]
        if np.array_equal(region, picture):
            found.append((int(top), int(left)))
    (place,) = found
    return place


def test_rows_and_columns_are_aligned_and_captions_are_above() -> None:
    pictures = [[_picture(10 * row + column) for column in range(3)] for row in range(2)]
    sheet = draw([[[Cell("beta 1", "27 dB", picture) for picture in row] for row in pictures]])
    places = [[_place(sheet, picture) for picture in row] for row in pictures]
    assert all(len({top for top, _ in row}) == 1 for row in places)
    assert (
        [left for _, left in places[0]] == [left for _, left in places[1]] == [GAP + i * (80 + GAP) for i in range(3)]
    )
    pixels = np.asarray(sheet)
    for top, left in (place for row in places for place in row):
        assert pixels[top - 42 : top - 20, left : left + 80].min() < 60, "the name"
        assert 60 < pixels[top - 20 : top, left : left + 80].min() < 160, "in grey what was measured"


def test_blocks_stand_further_apart_than_rows() -> None:
    rows = [[Cell("", "", _picture(seed))] for seed in range(3)]
    sheet = draw([rows[:2], [], rows[2:]])
    tops = [_place(sheet, row[0].pixels)[0] for row in rows]
    assert tops == [GAP, GAP + 60 + ROW_GAP, GAP + 60 + ROW_GAP + 60 + BLOCK_GAP] and ROW_GAP < BLOCK_GAP
    assert sheet.size == (80 + 2 * GAP, tops[-1] + 60 + GAP)


def test_rows_may_differ() -> None:
    first, second, third = _picture(0, 30, 50), _picture(1, 90, 40), _picture(2, 20, 100)[:, ::-1]
    sheet = draw([[[Cell("a", "", first)], [], [Cell("b", "", second), Cell("c", "", third)]]])
    assert _place(sheet, first)[0] < _place(sheet, second)[0] == _place(sheet, third)[0]
    assert _place(sheet, third)[1] == GAP + LEAST_WIDTH + GAP


def test_pixels_are_repeated_and_not_smoothed() -> None:
    picture = _picture(0, 5, 40)
    assert _place(draw([[[Cell("a", "", picture)]]], zoom=3), np.repeat(np.repeat(picture, 3, 0), 3, 1))


def test_long_captions_stay_above_their_picture() -> None:
    names = ["original", "beta 2.56 of a model", "averylongnamewithoutanyspaceinit", ""]
    pictures = [_picture(number, width=70) for number in range(4)]
    numbers = ["", "0.312 bits per pixel, 27.12 dB", "", ""]
    sheet = draw([[[Cell(*each) for each in zip(names, numbers, pictures, strict=True)]]])
    top, _ = _place(sheet, pictures[0])
    lefts = [_place(sheet, picture)[1] for picture in pictures]
    inked: npt.NDArray[np.bool_] = np.asarray(sheet)[:top].min((0, 2)) < 200
    covered = np.zeros_like(inked)
    for left in lefts:
        covered[left : left + 70] = True
    assert not inked[~covered].any()
    assert [bool(inked[left : left + 70].any()) for left in lefts] == [True, True, True, False]


def test_a_sheet_may_be_png_or_webp_and_replaces_an_older_one(tmp_path: Path) -> None:
    smooth = np.repeat(np.arange(0, 240, 2, dtype=np.uint8)[None, :, None], 64, axis=0).repeat(3, axis=2)
    for name, most in (("sheet.webp", 3.0), ("sheet.PNG", 0.0)):
        for zoom in (2, 1):
            write(tmp_path / name, draw([[[Cell("a", "", smooth)]]], zoom=zoom))
        with Image.open(tmp_path / name) as image:
            assert image.format == name.partition(".")[2].upper()
            shown = np.asarray(image.convert("RGB")).astype(int)
        assert np.abs(shown[-GAP - 64 : -GAP, GAP : GAP + 120] - smooth).mean() <= most
    assert len(list(tmp_path.iterdir())) == 2


def test_sheets_that_cannot_be_are_refused(tmp_path: Path) -> None:
    nothing: list[list[list[list[Cell]]]] = [[], [[]], [[[]]]]
    for blocks in nothing:
        with pytest.raises(InvalidArgument, match="a sheet needs a picture"):
            draw(blocks)
    no_pictures: list[Any] = [_picture(0) / 255, _picture(0)[..., 0], _picture(0)[:0], _picture(0)[..., :2]]
    for wrong in no_pictures:
        with pytest.raises(InvalidArgument, match=r"the picture 'a' is .*give uint8"):
            draw([[[Cell("a", "", wrong)]]])
    sheet = draw([[[Cell("a", "", _picture(0))]]])
    with pytest.raises(InvalidArgument, match=r"sheet\.gif: .*use \.png or \.webp"):
        write(tmp_path / "sheet.gif", sheet)
    with pytest.raises(InvalidArgument, match=r"use \.png, or fewer rows"):
        write(tmp_path / "sheet.webp", Image.new("RGB", (8, MOST_WEBP_PIXELS + 1)))
    with pytest.raises(CannotWrite, match="missing"):
        write(tmp_path / "missing" / "sheet.png", sheet)
    assert not list(tmp_path.iterdir())
