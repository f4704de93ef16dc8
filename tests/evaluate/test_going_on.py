"""Formats and scores can be added to a run, and taken away: what it has measured stays, and is not measured again."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from statistics import fmean

import pytest
import torch
from PIL import Image

from edgecodec.doctor.report import machine
from edgecodec.errors import CheckpointRejected, OutputExists
from edgecodec_evaluate import run as runs
from edgecodec_evaluate.peers import PEERS
from edgecodec_evaluate.run import evaluation
from edgecodec_evaluate.settings import Settings
from edgecodec_evaluate.summary import Summary
from edgecodec_evaluate.table import lines
from support.command_line import run_command
from support.paths import PHOTOS, TINY
from support.perceptual_weights import lpips_state, save_dists, save_lpips

MACHINE = cache(machine)
Measure = Callable[..., tuple[Summary, int]]
Rows = dict[tuple[str, str, str], dict[str, str]]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("weights")
    return {"lpips": save_lpips(folder / "lpips.pth"), "dists": save_dists(folder / "dists.pth")}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two of 48x32 pixels."""
    folder = tmp_path_factory.mktemp("pictures")
    for name, photo in zip("ab", PHOTOS, strict=False):
        Image.open(photo).crop((0, 0, 48, 32)).save(folder / f"{name}.png")
    return {path.name: path for path in sorted(folder.iterdir())}


@pytest.fixture
def measure(pictures: dict[str, Path]) -> Measure:
    """The summary of a run, and how many measurements were made."""

    def measured(
        output: Path, against: Sequence[str] = (), weights: Mapping[str, Path] | None = None, force: bool = False
    ) -> tuple[Summary, int]:
        settings = Settings(
            engine="onnxruntime", threads=1, knobs={"alpha": (0, 1)}, against=against, weights=weights or {}
        )
        with evaluation(TINY, pictures, output, settings, force=force) as run:
            before = run.done
            for name in run.pictures:
                run.measure(name)
            return run.finish(), run.done - before

    return measured


@pytest.fixture(autouse=True)
def undrawn_and_short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plots take seconds, formats have a dozen qualities, and to ask what the machine is takes programs."""
    monkeypatch.setattr(runs, "machine", MACHINE)
    for name in ("write_contact_sheet", "write_rate_distortion", "write_rate_perception", "write_trade_off"):
        monkeypatch.setattr(runs, name, lambda *arguments: None)
    for name in ("jpeg", "webp"):
        monkeypatch.setitem(PEERS, name, replace(PEERS[name], qualities=(30, 70)))


def rows(output: Path) -> Rows:
    found = list(csv.DictReader((output / "measurements.csv").read_text().splitlines()))
    by_point = {(row["picture"], row["codec"], row["encoder"] + row["decoder"]): row for row in found}
    assert len(by_point) == len(found)
    return by_point


def codecs(output: Path) -> list[str]:
    return [codec for _, codec, _ in rows(output)]


def without_times(output: Path) -> list[dict[str, str]]:
    return [{name: text for name, text in row.items() if "seconds" not in name} for row in rows(output).values()]


def test_a_format_that_is_added_is_measured_alone(measure: Measure, tmp_path: Path) -> None:
    measure(tmp_path / "run", ["jpeg"])
    before = rows(tmp_path / "run")
    summary, made = measure(tmp_path / "run", ["jpeg", "webp"])
    assert made == 2 * 2 and summary.peers == ["jpeg", "webp"]
    after = rows(tmp_path / "run")
    assert {key: after[key] for key in before} == before, "times too are those of before"
    measure(tmp_path / "fresh", ["jpeg", "webp"])
    assert without_times(tmp_path / "run") == without_times(tmp_path / "fresh")


def test_a_format_that_is_taken_away_is_not_lost(measure: Measure, tmp_path: Path) -> None:
    measure(tmp_path, ["jpeg", "webp"])
    before = rows(tmp_path)
    summary, made = measure(tmp_path, ["webp"])
    assert made == 0 and summary.peers == ["webp"] and [*summary.about["run"]["against"]] == ["webp"]
    assert rows(tmp_path) == before and codecs(tmp_path)[-4:] == ["jpeg"] * 4, "behind what was asked for"
    assert measure(tmp_path, ["jpeg", "webp"])[1] == 0
    assert list(rows(tmp_path)) == list(before)


def test_weights_that_are_added_score_every_format_and_stay_when_they_are_taken_away(
    measure: Measure, tmp_path: Path, weights: Mapping[str, Path]
) -> None:
    measure(tmp_path / "run", ["jpeg"])
    summary, made = measure(tmp_path / "run", ["jpeg"], {"lpips": weights["lpips"]})
    assert made == 2 * 4 and summary.networks == ("lpips",)
    assert all(row["lpips"] and not row["dists"] for row in rows(tmp_path / "run").values())
    summary, made = measure(tmp_path / "run", ["jpeg"], {"dists": weights["dists"]})
    assert made == 2 * 4, "the scores before are kept"
    assert all(point.lpips is None and point.dists for point in summary.points), "and are not of this run"
    assert {each.metric for each in summary.bd_rates} == {"psnr_db", "dists"}
    summary, made = measure(tmp_path / "run", ["jpeg"], weights)
    assert made == 0 and all(point.lpips and point.dists for point in summary.points)
    (tmp_path / "run" / "rate_perception.svg").touch()
    assert measure(tmp_path / "run")[0].about["run"]["weights"] == {}
    assert not (tmp_path / "run" / "rate_perception.svg").exists(), "a plot of what this run was not asked for"
    measure(tmp_path / "run", ["jpeg"])
    measure(tmp_path / "fresh", ["jpeg"], weights)
    assert without_times(tmp_path / "run") == without_times(tmp_path / "fresh")


def test_small_pictures_are_not_measured_again_for_a_score_that_they_cannot_have(
    measure: Measure, tmp_path: Path, weights: Mapping[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgecodec_evaluate.metrics.lpips.LpipsAlexNet.SMALLEST_SIDE", 1000)
    asked = {"lpips": weights["lpips"]}
    for made in (2 * 2, 0):
        summary, now = measure(tmp_path, weights=asked)
        assert now == made and all(point.lpips is None for point in summary.points)
    text = list(lines(summary))
    assert any("LPIPS" in line and "bpp" in line for line in text)
    assert "LPIPS is of 0 of 2 pictures: the others have a side below 1000 pixels" in text


def test_another_encoder_and_other_weights_are_refused_and_nothing_is_touched(
    measure: Measure, tmp_path: Path, weights: Mapping[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other.pth"
    torch.save({**lpips_state(), "net.slice1.0.bias": torch.ones(64)}, other)
    run = tmp_path / "run"
    measure(run, ["jpeg"], {"lpips": weights["lpips"]})
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    with pytest.raises(OutputExists, match=r"has measurements of lpips with other weights.*--force"):
        measure(run, ["jpeg"], {"lpips": other})
    newer = replace(PEERS["jpeg"], version=lambda: "libjpeg 99")
    monkeypatch.setitem(PEERS, "jpeg", newer)
    with pytest.raises(OutputExists, match=r"has measurements of another version or other settings of jpeg.*--force"):
        measure(run, ["jpeg", "webp"], {"lpips": weights["lpips"]})
    assert {path.name: path.read_bytes() for path in run.iterdir()} == before
    assert measure(run, ["webp"], {"lpips": weights["lpips"]})[1] == 2 * 2, "without it they go on"
    with pytest.raises(OutputExists):
        measure(run, ["jpeg"], {"lpips": weights["lpips"]})
    measure(run, ["jpeg"], {"lpips": other}, force=True)
    identity = json.loads((run / "settings.json").read_text())
    assert [*identity["against"]] == ["jpeg"] and identity["against"]["jpeg"]["encoder"] == "libjpeg 99"


def test_what_nothing_was_measured_with_is_in_nobodys_way(
    measure: Measure, tmp_path: Path, weights: Mapping[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A person sees that weights are wrong, ends the run at once, and gives others."""
    wrong = tmp_path / "wrong.pth"
    torch.save({**lpips_state(), "lin0.model.1.weight": torch.full((1, 64, 1, 1), 3e38)}, wrong)
    run = tmp_path / "run"
    measure(run)
    before = rows(run)
    monkeypatch.setitem(PEERS, "jpeg", replace(PEERS["jpeg"], version=lambda: "libjpeg 99"))
    with pytest.raises(CheckpointRejected, match="no finite number"):
        measure(run, ["jpeg"], {"lpips": wrong})
    monkeypatch.setitem(PEERS, "jpeg", replace(PEERS["jpeg"], version=lambda: "libjpeg 98"))
    assert rows(run) == before and measure(run, ["jpeg"], {"lpips": weights["lpips"]})[1] == 2 * 4
    with pytest.raises(OutputExists, match="lpips with other weights"):
        measure(run, [], {"lpips": wrong})


@pytest.mark.parametrize("spoiled", [[], {"against": {"jpeg": 3}, "weights": None}])
def test_an_identity_that_was_changed_by_hand_is_another_one(measure: Measure, tmp_path: Path, spoiled: object) -> None:
    measure(tmp_path, ["jpeg"])
    known = json.loads((tmp_path / "settings.json").read_text())
    (tmp_path / "settings.json").write_text(json.dumps({**known, **spoiled} if isinstance(spoiled, dict) else spoiled))
    with pytest.raises(OutputExists):
        measure(tmp_path, ["jpeg"])


def test_options_give_columns_and_records(
    tmp_path: Path, pictures: Mapping[str, Path], weights: Mapping[str, Path]
) -> None:
    arguments = (
        "eval",
        TINY,
        pictures["a.png"].parent,
        "-o",
        tmp_path / "run",
        "--engine",
        "onnxruntime",
        "-j",
        1,
        "--alpha",
        1,
    )
    outcome = run_command(*arguments, "--lpips", weights["lpips"], "--dists", weights["dists"])
    assert outcome.status == 0
    title, values = outcome.output.decode().splitlines()[2:4]
    assert title.split()[-6:] == ["LPIPS", "DISTS", "encode", "ms", "decode", "ms"]
    means = {name: fmean(float(row[name]) for row in rows(tmp_path / "run").values()) for name in ("lpips", "dists")}
    assert values.split()[-4:-2] == [f"{mean:.4f}" for mean in means.values()]
    (record,) = run_command(*arguments, "--lpips", weights["lpips"], "--json").records
    assert record["networks"] == ["lpips"] and record["points"][0]["lpips"] == means["lpips"]
    assert record["points"][0]["dists"] is None and [*record["about"]["run"]["weights"]] == ["lpips"]
