"""A run can be watched: its curves have gaps where nothing is known."""

from __future__ import annotations

import math
import re
from pathlib import Path

import matplotlib
import pytest
from PIL import Image

from edgecodec.errors import CannotWrite
from edgecodec_train.curves import COLOURS, panels_of, write_curve

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
