"""A run can be watched: curves with gaps where nothing is known, sheets with every pixel as it is."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from edgecodec.errors import CannotWrite, InvalidArgument
from edgecodec_train.curves import COLOURS, panels_of, write_curve
from edgecodec_train.sheet import MOST_WEBP_PIXELS, SheetRow, write_sheet

ROWS = [
    {"step": 1000.0 * i, "psnr_db_beta_0": 20.0 + i, "psnr_db_beta_2.56": 19.0 + i, "loss": 1 / (i + 1)}
    for i in range(8)
]


def _labels(svg: Path) -> set[str]:
    """What is written in it: Matplotlib draws letters as paths, after a comment that says what they are."""
    return set(re.findall("<!-- (.*?) -->", svg.read_text()))


def _lines(svg: Path, colour: str = COLOURS[0]) -> list[list[int]]:
    """For each line of this colour, the points in each of its unbroken parts; a line in a legend has three."""
    paths = re.findall(rf'<path d="([^"]*)"[^>]*fill: none; stroke: {colour};', svg.read_text())
    return [[part.count("L") + 1 for part in path.split("M")[1:]] for path in paths]


def test_columns_of_one_quantity_share_a_panel() -> None:
    columns = [
        "psnr_db",
        "psnr_db_beta_0",
        "loss",
        "psnr_db_beta_5.12",
        "discriminator_loss",
        "psnr_kept_db",
        "my_own_x",
    ]
    assert panels_of(columns) == {
        "PSNR (decibels)": {"psnr_db": "", "psnr_db_beta_0": "beta 0", "psnr_db_beta_5.12": "beta 5.12"},
        "loss": {"loss": ""},
        "discriminator loss": {"discriminator_loss": ""},
        "PSNR where details are kept (decibels)": {"psnr_kept_db": ""},
        "my own x": {"my_own_x": ""},
    }


def test_curves_name_what_they_show(tmp_path: Path) -> None:
    write_curve(ROWS, tmp_path / "run.v2", "hific compact")
    assert {"hific compact", "PSNR (decibels)", "beta 0", "beta 2.56", "loss", "step"} <= _labels(
        tmp_path / "run.v2.svg"
    )
    assert _lines(tmp_path / "run.v2.svg") == [[8], [3], [8]]
    assert _lines(tmp_path / "run.v2.svg", COLOURS[1]) == [[8], [3]]
    with Image.open(tmp_path / "run.v2.png") as picture:
        assert min(picture.size) > 200
    assert {file.name for file in tmp_path.iterdir()} == {"run.v2.png", "run.v2.svg"}


def test_unknown_values_leave_gaps_and_what_is_between_them_is_seen(tmp_path: Path) -> None:
    known = [True, True, True, False, True, False, True, True]
    rows = [
        {"step": float(step), "loss": 1.0 + step} if each else {"step": float(step)} for step, each in enumerate(known)
    ]
    write_curve(rows, tmp_path / "missing", "a")
    assert _lines(tmp_path / "missing.svg") == [[3, 1, 2]]
    dots = (tmp_path / "missing.svg").read_text().count("<use")
    write_curve([row for row in rows if row["step"] != 4], tmp_path / "without", "a")
    assert dots == (tmp_path / "without.svg").read_text().count("<use") + 1
    for unknown in (math.nan, math.inf):
        write_curve([{"loss": unknown, **row} for row in rows], tmp_path / "other", "a")
        assert (tmp_path / "other.svg").read_bytes() == (tmp_path / "missing.svg").read_bytes()


def test_the_same_rows_give_the_same_files(tmp_path: Path) -> None:
    before = dict(matplotlib.rcParams)
    write_curve(ROWS, tmp_path / "a", "same")
    assert dict(matplotlib.rcParams) == before
    with matplotlib.rc_context({"lines.linewidth": 9, "figure.facecolor": "red", "axes.grid": True}):
        write_curve([*ROWS[::-1], {"loss": 2.0}], tmp_path / "b", "same")  # in any order, and one without a step
    for kind in ("png", "svg"):
        content = (tmp_path / f"a.{kind}").read_bytes()
        assert (tmp_path / f"b.{kind}").read_bytes() == content
        assert not re.search(rb"20\d\d-\d\d-\d\d|dc:date", content)


@pytest.mark.parametrize("title", ["costs $5 or $6_7", "字 without a glyph", "", r"\frac{"])
def test_any_title_can_be_drawn(tmp_path: Path, title: str) -> None:
    write_curve([{"step": 0.0, "odd$name$_{": 1.0, "loss_$a_{$": 1.0}], tmp_path / "run", title)


@pytest.mark.parametrize("rows", [[], [{"step": 3.0}], ROWS[:1], ROWS[:2], [{"step": 1.0, "loss": math.nan}]])
def test_curves_of_a_run_that_has_just_begun(tmp_path: Path, rows: list[dict[str, float]]) -> None:
    write_curve(rows, tmp_path / "run", "young")
    assert "young" in _labels(tmp_path / "run.svg")


def test_curves_that_cannot_be_written_say_so(tmp_path: Path) -> None:
    with pytest.raises(CannotWrite, match="missing"):
        write_curve(ROWS, tmp_path / "missing" / "run", "a")


def _picture(seed: int, height: int = 60, width: int = 80) -> npt.NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(1, 255, (height, width, 3), np.uint8)


def _place(sheet: npt.NDArray[np.uint8], picture: npt.NDArray[np.uint8]) -> tuple[int, int]:
    """Top and left of the one place where the picture is in the sheet, with every pixel as it was."""
    found = []
    for top, left in np.argwhere((sheet == picture[0, 0]).all(2)):
        region = sheet[top : top + picture.shape[0], left : left + picture.shape[1]]
        if np.array_equal(region, picture):
            found.append((int(top), int(left)))
    (place,) = found
    return place


def test_a_sheet_has_every_pixel_of_its_pictures_in_rows_and_columns(tmp_path: Path) -> None:
    pictures = [[_picture(10 * row + column) for column in range(3)] for row in range(2)]
    rows = [SheetRow([(f"beta {column}", picture) for column, picture in enumerate(row)]) for row in pictures]
    write_sheet(tmp_path / "sheet.png", rows)
    write_sheet(tmp_path / "sheet.png", rows)  # a second one replaces the first
    sheet = np.asarray(Image.open(tmp_path / "sheet.png"))
    places = [[_place(sheet, picture) for picture in row] for row in pictures]
    assert all(len({top for top, _ in row}) == 1 for row in places)
    assert [left for _, left in places[0]] == [left for _, left in places[1]] == sorted({left for _, left in places[0]})
    assert places[1][0][0] > places[0][0][0] + 60
    for top, left in (place for row in places for place in row):
        assert sheet[top - 17 : top, left : left + 80].min() < 100  # the caption
    assert [file.name for file in tmp_path.iterdir()] == ["sheet.png"]


def test_long_captions_stay_above_their_picture(tmp_path: Path) -> None:
    captions = ["original", "beta 2.56, 0.312 bits per pixel, 27.12 dB", "averylongnamewithoutanyspaceinit", ""]
    pictures = [_picture(number, width=70) for number in range(4)]
    write_sheet(tmp_path / "sheet.png", [SheetRow(list(zip(captions, pictures, strict=True)))])
    sheet = np.asarray(Image.open(tmp_path / "sheet.png"))
    top, _ = _place(sheet, pictures[0])
    lefts = [_place(sheet, picture)[1] for picture in pictures]
    inked: npt.NDArray[np.bool_] = sheet[:top].min((0, 2)) < 200
    covered = np.zeros_like(inked)
    for left in lefts:
        covered[left : left + 70] = True
    assert not inked[~covered].any()
    assert [bool(inked[left : left + 70].any()) for left in lefts] == [True, True, True, False]


def test_rows_of_a_sheet_may_differ(tmp_path: Path) -> None:
    first, second, third = _picture(0, 30, 50), _picture(1, 90, 40), _picture(2, 20, 100)[:, ::-1]
    write_sheet(
        tmp_path / "sheet.PNG", [SheetRow([("a", first)]), SheetRow([]), SheetRow([("b", second), ("c", third)])]
    )
    sheet = np.asarray(Image.open(tmp_path / "sheet.PNG"))
    assert _place(sheet, first)[0] < _place(sheet, second)[0] == _place(sheet, third)[0]


def test_a_sheet_may_be_webp(tmp_path: Path) -> None:
    smooth = np.repeat(np.arange(0, 240, 2, dtype=np.uint8)[None, :, None], 64, axis=0).repeat(3, axis=2)
    write_sheet(tmp_path / "sheet.webp", [SheetRow([("a", smooth)])])
    with Image.open(tmp_path / "sheet.webp") as sheet:
        assert sheet.format == "WEBP"
        shown = np.asarray(sheet.convert("RGB")).astype(int)
    assert np.abs(shown[-8 - 64 : -8, 8 : 8 + 120] - smooth).mean() < 3


def test_sheets_that_cannot_be_are_refused(tmp_path: Path) -> None:
    row = SheetRow([("a", _picture(0))])
    with pytest.raises(InvalidArgument, match=r"sheet\.gif: .*use \.png or \.webp"):
        write_sheet(tmp_path / "sheet.gif", [row])
    for rows in ([], [SheetRow([])]):
        with pytest.raises(InvalidArgument, match=r"sheet\.png: a sheet needs a picture"):
            write_sheet(tmp_path / "sheet.png", rows)
    no_pictures: list[Any] = [_picture(0) / 255, _picture(0)[..., 0], _picture(0)[:0], _picture(0)[..., :2]]
    for wrong in no_pictures:
        with pytest.raises(InvalidArgument, match=r"the picture 'a' is .*give uint8"):
            write_sheet(tmp_path / "sheet.png", [SheetRow([("a", wrong)])])
    with pytest.raises(InvalidArgument, match=r"use \.png, or fewer rows"):
        write_sheet(tmp_path / "sheet.webp", [SheetRow([("a", np.zeros((MOST_WEBP_PIXELS, 8, 3), np.uint8))])])
    with pytest.raises(CannotWrite, match="missing"):
        write_sheet(tmp_path / "missing" / "sheet.png", [row])
    assert not list(tmp_path.iterdir())
