"""Plots say what was measured: labels do not lie on each other, and the same summary gives the same files."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import combinations, pairwise
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.path import Path as DrawnPath
from PIL import Image

from edgecodec_evaluate.bd_rate import BdRate
from edgecodec_evaluate.plots import rate
from edgecodec_evaluate.plots.arranging import GAP, arrange
from edgecodec_evaluate.plots.labels import Label, spread, write_labels
from edgecodec_evaluate.plots.rate import write_rate_distortion, write_rate_perception
from edgecodec_evaluate.plots.style import shades
from edgecodec_evaluate.plots.trade_off import write_trade_off
from edgecodec_evaluate.summary import Difference, PointMean, Summary, differences
from edgecodec_evaluate.table import lines


def point(codec: str, encoder: str, decoder: str, rate: float, psnr: float, structure: float | None) -> PointMean:
    return PointMean(codec, encoder, decoder, 8000 * rate, rate, psnr, structure, 2, rate, None, 0, None, 0.1, 0.2)


#: A bundle with five rates and two decoders, and a format with five rates.
POINTS = [
    *(
        point("any small", f"step={i}", f"look={look}", 0.1 * 1.5**i, 27 + 2 * i - look, 0.9 + 0.015 * i)
        for i in range(5)
        for look in (0, 1)
    ),
    *(point("jpeg", f"quality={20 * i}", "", 0.2 * 1.5**i, 26 + 2 * i, 0.88 + 0.02 * i) for i in range(5)),
]

DISTANT = [
    replace(each, lpips=0.55 - 0.01 * each.psnr_db, lpips_pictures=2, dists=1 - 0.02 * each.psnr_db) for each in POINTS
]


def summary(points: list[PointMean]) -> Summary:
    return Summary(
        "any small", "step=2", ("a.png", "b.png"), (), tuple(points), tuple(differences("any small", points)), {}
    )


@given(st.lists(st.floats(0, 1000), max_size=8))
def test_labels_keep_their_distance_and_their_order(places: list[float]) -> None:
    moved = spread(sorted(places), 13)
    assert len(moved) == len(places)
    assert all(after - before >= 13 - 1e-9 for before, after in pairwise(moved))
    assert sum(moved) == pytest.approx(sum(places), abs=1e-6)


def test_labels_with_room_stay_where_they_are() -> None:
    assert spread([0, 13, 40], 13) == [0, 13, 40]
    assert spread([10, 10, 50], 13) == [3.5, 16.5, 50]


@settings(max_examples=15, deadline=None)
@given(st.lists(st.tuples(st.integers(10, 390), st.integers(10, 290)), min_size=1, max_size=7))
def test_labels_lie_neither_on_each_other_nor_on_points(points: list[tuple[int, int]]) -> None:
    markers = np.array(points, float)
    places = arrange(markers, [(60, 11)] * len(points), np.empty((0, 2)), markers, [], (0, 0, 400, 300))
    for number, (left, bottom, right, top) in enumerate(each.box for each in places):
        assert left >= 0 and bottom >= 0 and right <= 400 and top <= 300
        assert not any(left < x < right and bottom < y < top for x, y in points)
        for other in places[:number]:
            assert right <= other.box[0] or other.box[2] <= left or top <= other.box[1] or other.box[3] <= bottom


def test_a_label_with_room_is_beside_its_point_and_needs_no_line() -> None:
    (place,) = arrange(np.array([[50.0, 50.0]]), [(60, 11)], np.empty((0, 2)), np.empty((0, 2)), [], (0, 0, 400, 300))
    assert (place.x, place.y, place.leader) == (50 + GAP + 30, 50, None)


@pytest.mark.parametrize("height", [0, 0.01, 0.1])
def test_labels_keep_clear_of_lines(height: float) -> None:
    """By the boxes and paths that matplotlib draws: lines that end on another one, and one that goes on."""
    figure = Figure((6, 4), layout="constrained")
    axes = figure.subplots()
    axes.set_xlim(0, 2)
    axes.set_ylim(0, 2)
    lines = [axes.plot([0, 3], [0.2, 2.4])[0], axes.plot([0, 1], [0.2, 0.9], marker="o")[0]]
    lines.append(axes.plot([0, 1], [0.2, 0.9 + height], marker="o")[0])
    ends = [Label(1, 0.9, "below", "#000000"), Label(1, 0.9 + height, "above", "#000000")]
    write_labels(figure, {axes: [Label(2, 1.667, "goes on", "#000000"), *ends]})
    figure.draw_without_rendering()
    room = 2  # dots above and below, for letters that these words have not
    boxes = {text.get_text(): text.get_window_extent().padded(0, -room) for text in axes.texts if text.get_text()}
    assert not any(one.overlaps(other) for one, other in combinations(boxes.values(), 2))
    for name, box in boxes.items():
        assert not any(path(line).intersects_bbox(box, filled=False) for line in lines), name
    assert boxes["goes on"].x0 > axes.get_window_extent().x1
    assert all(axes.get_window_extent().containsx(boxes[name].x1) for name in ("above", "below"))
    assert boxes["above"].y0 > boxes["below"].y0 or height == 0


def test_labels_of_a_row_of_points_are_near_their_points() -> None:
    """Each point is near to the next one, and the first far from the last."""
    figure = Figure((6, 4), dpi=72, layout="constrained")
    axes = figure.subplots()
    axes.set_xlim(0, 60)
    axes.set_ylim(0, 1)
    write_labels(figure, {axes: [Label(place, 0.5, str(place), "#000000") for place in range(20)]})
    figure.draw_without_rendering()
    found = {text.get_text(): text.get_window_extent() for text in axes.texts if text.get_text()}
    assert len(found) == 20
    for name, box in found.items():
        assert abs((box.x0 + box.x1) / 2 - axes.transData.transform((int(name), 0.5))[0]) < 60, name


@pytest.mark.parametrize(("distances", "shown"), [([0.0], {"0.5", "0", "-0.5"}), ([0.1, 0.4], {"0.1", "0.4"})])
def test_heights_are_called_by_the_distance_that_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, distances: list[float], shown: set[str]
) -> None:
    """None has the name of another one, also above 0, where there are no distances."""
    figures: list[Figure] = []
    monkeypatch.setattr(rate, "write_labels", lambda figure, labels: figures.append(figure))
    points = [replace(POINTS[0], decoder=str(each), lpips=each) for each in distances]
    write_rate_perception(summary(points), tmp_path / "plot")
    (axes,) = figures[0].axes
    names = {text.get_text() for text in axes.get_yticklabels()}
    assert shown <= names and len(names) == len(axes.get_yticks())


def path(line: Line2D) -> DrawnPath:
    return line.get_path().transformed(line.get_transform())


def test_decoders_have_colours_of_their_own() -> None:
    assert [len({*shades(count)}) for count in range(1, 7)] == [1, 2, 3, 4, 5, 6]


def test_the_same_summary_gives_the_same_plots(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        write_rate_distortion(summary(POINTS), tmp_path / folder / "rate")
        write_trade_off(summary(POINTS), tmp_path / folder / "trade")
    files = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert files == ["rate.png", "rate.svg", "trade.png", "trade.svg"]
    for name in files:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes(), name
        assert b"date" not in (tmp_path / "one" / name).read_bytes().lower(), name
    assert np.asarray(Image.open(tmp_path / "one" / "rate.png")).std() > 5


@pytest.mark.parametrize("name", ["$\\frac{x$", "<script>alert(1)</script> -->"])
def test_names_are_drawn_as_they_are(tmp_path: Path, name: str) -> None:
    points = [point(name, "", f"look={look}", 0.1, 27 - look, 0.9) for look in (0, 1)]
    named = Summary(name, "", ("a.png", "b.png"), (), tuple(points), (), {})
    write_rate_distortion(named, tmp_path / "rate")
    write_trade_off(named, tmp_path / "trade")
    for path in tmp_path.glob("*.svg"):
        assert not {each.tag for each in ElementTree.parse(path).iter() if "script" in str(each.tag)}
    assert len([*tmp_path.iterdir()]) == 4


def test_what_has_no_score_is_not_drawn(tmp_path: Path) -> None:
    endless = [point("any small", "", "", 0.1, float("inf"), None)]
    write_rate_distortion(summary(endless), tmp_path / "rate")
    write_trade_off(summary(endless), tmp_path / "trade")
    assert json.dumps(summary(endless).facts(), allow_nan=False)
    assert not any(tmp_path.iterdir())


def test_rates_are_compared_at_every_decoder_by_every_score() -> None:
    found = summary(POINTS).bd_rates
    assert [(each.decoder, each.against, each.metric) for each in found] == [
        (look, "jpeg", metric) for metric in ("psnr_db", "ms_ssim") for look in ("look=0", "look=1")
    ]
    first, second = (each.bd_rate.percent or 0 for each in found[:2])
    # The format takes twice the rate at a step, and with 1 dB less reaches a score half a step later.
    assert first == pytest.approx(100 * (0.5 * 1.5**-0.5 - 1), abs=0.5)
    assert second == pytest.approx(100 * (0.5 - 1), abs=0.5)


def test_rates_at_equal_distances_are_compared_with_less_as_better() -> None:
    """Distances that fall by so much for each dB have the differences of PSNR."""
    found = summary(DISTANT).bd_rates
    by_metric = {(each.metric, each.decoder): each.bd_rate for each in found}
    for look in ("look=0", "look=1"):
        for metric in ("lpips", "dists"):
            assert by_metric[metric, look].percent == pytest.approx(by_metric["psnr_db", look].percent)
        low, high = by_metric["lpips", look].low, by_metric["lpips", look].high
        assert low is not None and high is not None and -0.3 < low < high < -0.1


def test_distances_have_a_plot_of_their_own(tmp_path: Path) -> None:
    write_rate_perception(summary(POINTS), tmp_path / "perception")
    assert not any(tmp_path.iterdir())
    write_rate_perception(summary(DISTANT), tmp_path / "both")
    write_rate_perception(summary([replace(each, dists=None) for each in DISTANT]), tmp_path / "one")
    both, one = (np.asarray(Image.open(tmp_path / f"{name}.png")) for name in ("both", "one"))
    assert both.shape[1] == 2 * one.shape[1] and one.std() > 5
    for name, points in (("trade", POINTS), ("trades", DISTANT)):
        write_trade_off(summary(points), tmp_path / name)
    detail, all_three = (np.asarray(Image.open(tmp_path / f"{name}.png")) for name in ("trade", "trades"))
    assert all_three.shape[1] == 3 * detail.shape[1]
    write_rate_distortion(summary(POINTS), tmp_path / "plain")
    write_rate_distortion(summary(DISTANT), tmp_path / "with")
    assert (tmp_path / "plain.png").read_bytes() == (tmp_path / "with.png").read_bytes()


def test_the_table_says_why_there_is_no_difference() -> None:
    known = Difference("look=0", "jpeg", "psnr_db", BdRate(-12.34, 27, 33))
    unknown = Difference("look=1", "jpeg", "ms_ssim", BdRate(None, reason="the curves have no scores in common"))
    text = list(lines(Summary("any small", "", ("a.png",), (), tuple(POINTS), (known, unknown), {})))
    assert "  look=0 against JPEG by PSNR: -12.3 %" in text
    assert "  look=1 against JPEG by MS-SSIM: none, because the curves have no scores in common" in text
