"""An evaluation measures real files, goes on where it stopped, and never mixes two runs."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import edgecodec
from edgecodec.cli.eval import _pictures
from edgecodec.errors import InvalidArgument, KnobUnavailable, OutputExists
from edgecodec_evaluate import run as runs
from edgecodec_evaluate.measuring import Measuring
from edgecodec_evaluate.run import Run, evaluation
from edgecodec_evaluate.settings import Settings
from support.bundle_editing import edit_index
from support.command_line import run_command
from support.paths import LARGER_PHOTO, PHOTOS, TINY

QUICK = Settings(engine="onnxruntime", threads=1, against=["jpeg"])
OUTPUTS = {
    *("measurements.csv", "settings.json", "summary.json", "contact_sheet.png"),
    *("rate_distortion.png", "rate_distortion.svg", "trade_off.png", "trade_off.svg"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two photographs: one of 96x64, one large enough for MS-SSIM."""
    folder = tmp_path_factory.mktemp("photos")
    shutil.copy(PHOTOS[1], folder / "small.png")
    Image.open(LARGER_PHOTO).crop((250, 40, 426, 204)).save(folder / "large.png")
    return folder


@pytest.fixture(scope="module")
def whole(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The outputs of a run from beginning to end."""
    output = tmp_path_factory.mktemp("runs") / "whole"
    measure(folder, output)
    return output


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plots take seconds, and are the same whatever is tested with this."""
    for name in ("write_contact_sheet", "write_rate_distortion", "write_rate_perception", "write_trade_off"):
        monkeypatch.setattr(runs, name, lambda *arguments: None)


def measure(folder: Path, output: Path, settings: Settings = QUICK, bundle: Path = TINY, force: bool = False) -> None:
    with evaluation(bundle, _pictures(folder), output, settings, force=force) as run:
        for name in run.pictures:
            run.measure(name)
        run.finish()


def rows(output: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((output / "measurements.csv").read_text().splitlines()))


def without_times(output: Path) -> list[dict[str, str]]:
    return [{name: text for name, text in row.items() if not name.endswith("_seconds")} for row in rows(output)]


# ---- what is measured ----------------------------------------------------------------------------------------------


def test_rows_are_what_encoding_and_decoding_by_hand_gives(folder: Path, whole: Path) -> None:
    assert {path.name for path in whole.iterdir()} == OUTPUTS
    own = [row for row in rows(whole) if row["codec"] == "hific tiny"]
    assert [(row["picture"], row["decoder"]) for row in own] == [
        (name, f"alpha={alpha}") for name in ("large.png", "small.png") for alpha in ("0", "0.5", "1")
    ]
    with edgecodec.open_bundle(TINY, "onnxruntime", threads=1) as codec:
        for row in own:
            pixels = np.asarray(Image.open(folder / row["picture"]))
            file = codec.encode(pixels).data
            rebuilt = codec.decode(file, alpha=float(row["decoder"].removeprefix("alpha="))).pixels
            error = np.square(pixels.astype(float) - rebuilt).mean()
            assert int(row["bytes"]) == len(file)
            assert float(row["bits_per_pixel"]) == pytest.approx(8 * len(file) / (pixels.size / 3), abs=1e-6)
            assert float(row["psnr_db"]) == pytest.approx(20 * math.log10(255) - 10 * math.log10(error), abs=1e-4)
            assert bool(row["ms_ssim"]) == (row["picture"] == "large.png")
            assert float(row["encode_seconds"]) > 0 < float(row["decode_seconds"])


def test_rows_of_another_format_are_of_its_files(folder: Path, whole: Path) -> None:
    (row,) = (each for each in rows(whole) if (each["picture"], each["encoder"]) == ("small.png", "quality=50"))
    stream = io.BytesIO()
    Image.open(folder / "small.png").save(stream, "JPEG", quality=50, optimize=True)
    assert (row["codec"], row["decoder"], int(row["bytes"])) == ("jpeg", "", len(stream.getvalue()))


def test_the_summary_has_means_and_what_they_were_measured_with(whole: Path) -> None:
    summary = json.loads((whole / "summary.json").read_text())
    assert summary["pictures"] == ["large.png", "small.png"] and summary["left_out"] == []
    first = summary["points"][0]
    own = [row for row in rows(whole) if row["decoder"] == "alpha=0"]
    assert first["decoder"] == "alpha=0" and first["ms_ssim_pictures"] == 1
    assert first["psnr_db"] == pytest.approx(sum(float(row["psnr_db"]) for row in own) / 2)
    assert first["ms_ssim"] == pytest.approx(float(own[0]["ms_ssim"]))
    about = summary["about"]
    assert about["bundle"]["models"] == ["b5cfa644"] and about["engine"]["name"] == "onnxruntime"
    assert about["run"]["against"]["jpeg"]["settings"]["subsampling"] == "4:2:0"
    reasons = {each["bd_rate"]["reason"] for each in summary["bd_rates"]}
    assert reasons == {"the curve has one rate, and 4 are needed"}


# ---- going on ------------------------------------------------------------------------------------------------------


class Interrupted(Exception):
    pass


def test_a_run_that_was_interrupted_ends_as_one_that_was_not(
    folder: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop = 20
    output, count = tmp_path / "run", iter(range(stop))

    def interrupt(progress: object) -> None:
        if next(count, None) is None:
            raise Interrupted

    with evaluation(TINY, _pictures(folder), output, QUICK) as run, pytest.raises(Interrupted):
        for name in run.pictures:
            run.measure(name, interrupt)
    table = output / "measurements.csv"
    assert len(rows(output)) == stop + 1
    os.truncate(table, table.stat().st_size - 7)  # as a crash of the machine leaves it
    begun = without_times(output)[:-1]

    made: list[str] = []
    measured = Measuring.measure

    def recorded(self: Measuring, name: str, *arguments: Any) -> Iterator[Any]:
        for each in measured(self, name, *arguments):
            made.append(name)
            yield each

    monkeypatch.setattr(Measuring, "measure", recorded)
    for name in ("write_rate_distortion", "write_trade_off"):
        monkeypatch.setattr(runs, name, lambda *arguments: None)
    measure(folder, output)
    assert len(made) == len(rows(whole)) - stop and without_times(output)[:stop] == begun
    assert without_times(output) == without_times(whole)
    assert (output / "contact_sheet.png").read_bytes() == (whole / "contact_sheet.png").read_bytes()


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize(("option", "how"), [((), ""), (("--force",), " without --force")])
def test_an_interrupt_says_how_to_go_on(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, option: tuple[str, ...], how: str
) -> None:
    def interrupted(*anything: Any) -> None:
        raise SystemExit(130)  # as after a signal

    monkeypatch.setattr(Run, "measure", interrupted)
    outcome = run_command("eval", TINY, folder, "-o", tmp_path / "out", *option)
    last = outcome.talk.splitlines()[-1]
    assert outcome.status == 130 and last.startswith("interrupted: 0 of ")
    assert last.endswith(f" measurements done; the same command{how} goes on")


def test_the_order_of_measuring_does_not_show(folder: Path, whole: Path, tmp_path: Path) -> None:
    """As where the first picture failed once; what there is of a picture stays, and does not count."""
    output = tmp_path / "run"

    def interrupt(progress: object) -> None:
        raise Interrupted

    with evaluation(TINY, _pictures(folder), output, QUICK) as run:
        run.measure("small.png")
        with pytest.raises(Interrupted):
            run.measure("large.png", interrupt)
        assert run.finish().pictures == ("small.png",) and run.finish().left_out == ("large.png",)
        assert [row["picture"] for row in rows(output)] == ["large.png", *["small.png"] * 16]
        run.measure("large.png")
        assert run.finish().left_out == ()
    assert without_times(output) == without_times(whole)


def test_a_run_of_something_else_is_refused_and_left_alone(folder: Path, whole: Path, tmp_path: Path) -> None:
    before = {path.name: path.read_bytes() for path in whole.iterdir()}
    other = Path(shutil.copytree(TINY, tmp_path / "other.bundle"))
    edit_index(other, lambda index: setattr(index, "preset", "other"))
    changed = Path(shutil.copytree(folder, tmp_path / "changed"))
    Image.new("RGB", (96, 64)).save(changed / "small.png")
    for what, arguments in {
        "another bundle": (folder, QUICK, other),
        "other pictures": (changed, QUICK, TINY),
        "other settings": (folder, Settings(engine="onnxruntime", against=["jpeg"]), TINY),
    }.items():
        photos, settings, bundle = arguments
        with pytest.raises(OutputExists, match=what) as raised:
            measure(photos, whole, settings, bundle)
        assert raised.value.hint is not None and "--force" in raised.value.hint
    assert {path.name: path.read_bytes() for path in whole.iterdir()} == before


@pytest.mark.usefixtures("undrawn")
def test_force_begins_anew(folder: Path, whole: Path, tmp_path: Path) -> None:
    output = Path(shutil.copytree(whole, tmp_path / "run"))
    chosen = Settings(engine="onnxruntime", threads=1, knobs={"alpha": (1,)})
    measure(folder, output, chosen, force=True)
    assert [row["decoder"] for row in rows(output)] == ["alpha=1"] * 2
    drawn = {path.name for path in output.iterdir()}
    assert drawn == {"measurements.csv", "settings.json", "summary.json"}, "nothing of the run before stays"


@pytest.mark.usefixtures("undrawn")
def test_names_of_any_bytes_are_measured_and_found_again(folder: Path, tmp_path: Path) -> None:
    photos, output = tmp_path / "photos", tmp_path / "run"
    photos.mkdir()
    for name in (b"two\nlines.png", b"re\rturn.png", b"no\xfftext.png", rb"two\nlines.png"):
        try:
            shutil.copy(folder / "small.png", os.fsdecode(os.fsencode(photos) + b"/" + name))
        except OSError:  # a file system that takes text alone
            pytest.skip("names of files are text here")
    bundle = Path(shutil.copytree(TINY, tmp_path / "other.bundle"))
    edit_index(bundle, lambda index: setattr(index, "preset", "of\ntwo"))
    settings = Settings(engine="onnxruntime", threads=1, knobs={"alpha": (1,)})
    for _ in range(2):
        measure(photos, output, settings, bundle)
    names = [r"no\udcfftext.png", r"re\rturn.png", r"two\nlines.png", r"two\\nlines.png"]
    assert [(row["picture"], row["codec"]) for row in rows(output)] == [(name, r"hific of\ntwo") for name in names]
    assert json.loads((output / "summary.json").read_text())["pictures"] == names


def test_a_table_of_somebody_elses_is_not_overwritten(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "measurements.csv").write_text("mine")
    with pytest.raises(OutputExists):
        measure(folder, tmp_path)
    assert (tmp_path / "measurements.csv").read_text() == "mine"


# ---- what cannot be measured ---------------------------------------------------------------------------------------


@pytest.mark.usefixtures("undrawn")
def test_a_bad_picture_ends_itself_alone(folder: Path, tmp_path: Path) -> None:
    photos = Path(shutil.copytree(folder, tmp_path / "photos"))
    (photos / "broken.png").write_bytes(b"nothing")
    outcome = run_command(
        *("eval", TINY, photos, "-o", tmp_path / "run", "--engine", "onnxruntime", "-j", 1, "--alpha", "0,1", "--json")
    )
    assert outcome.status == 1 and "broken.png" in outcome.talk and "2 of 3 done, 1 failed" in outcome.talk
    failure, summary = outcome.records
    assert failure["ok"] is False and failure["input"].endswith("broken.png")
    assert summary["ok"] is True and summary["left_out"] == ["broken.png"] and len(summary["points"]) == 2


def test_a_folder_of_nothing_but_bad_pictures(tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"nothing")
    outcome = run_command("eval", TINY, tmp_path, "-o", tmp_path / "run", "--engine", "onnxruntime")
    assert outcome.status == 7 and not (tmp_path / "run" / "summary.json").exists()
    with evaluation(TINY, _pictures(tmp_path), tmp_path / "run", Settings(engine="onnxruntime")) as run:
        assert run.complete == []
        with pytest.raises(InvalidArgument, match="no picture was measured"):
            run.finish()


def test_outputs_do_not_lie_among_the_pictures(folder: Path, tmp_path: Path) -> None:
    photos = Path(shutil.copytree(folder, tmp_path / "photos"))
    with pytest.raises(InvalidArgument, match="among the pictures"):
        measure(photos, photos)
    assert {path.name for path in photos.iterdir()} == {"large.png", "small.png"}


@pytest.mark.usefixtures("undrawn")
def test_what_was_changed_in_a_picture_is_said(folder: Path, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    Image.open(folder / "small.png").convert("RGBA").save(photos / "layer.png")
    common = ("eval", TINY, photos, "-o", tmp_path / "run", "--engine", "onnxruntime", "--alpha", 1)
    refused = run_command(*common)
    assert refused.status == 2 and "layer.png: has transparency" in refused.talk
    outcome = run_command(*common, "--alpha-channel", "drop", "--force")
    assert outcome.status == 0 and "layer.png: transparency: drop" in outcome.talk


def test_knobs_that_the_bundle_has_not_are_refused_before_any_work(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(KnobUnavailable, match=r"alpha has no value 0\.3"):
        measure(folder, tmp_path / "run", Settings(engine="onnxruntime", knobs={"alpha": (0.3,)}))
    assert not (tmp_path / "run").exists()


def test_what_is_not_installed_is_named_with_its_extra(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [each for each in sys.modules if each.startswith("edgecodec_evaluate")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "pytorch_msssim", None)
    outcome = run_command("eval", TINY, folder, "-o", tmp_path / "run")
    assert outcome.status == 6 and "evaluating needs pytorch_msssim" in outcome.talk
    assert "pip install 'edgecodec[eval]'" in outcome.talk


# ---- what is said --------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("undrawn")
def test_the_table_has_a_line_for_every_point(folder: Path, whole: Path, tmp_path: Path) -> None:
    output = Path(shutil.copytree(whole, tmp_path / "run"))
    outcome = run_command(
        *("eval", TINY, folder, "-o", output, "--engine", "onnxruntime", "-j", 1, "--against", "jpeg", "-v")
    )
    text = outcome.output.decode()
    assert outcome.status == 0 and "going on from 32 of 32 measurements" in outcome.talk
    assert ": measured, " not in outcome.talk, "by an earlier run"
    assert "hific tiny alpha=0.5" in text and "JPEG quality=95" in text
    assert "MS-SSIM is of 1 of 2 pictures" in text and "none, because the curve has one rate, and 4 are needed" in text


@pytest.mark.usefixtures("undrawn")
def test_a_picture_that_is_measured_now_is_told(folder: Path, whole: Path, tmp_path: Path) -> None:
    output = Path(shutil.copytree(whole, tmp_path / "run"))
    lines = (output / "measurements.csv").read_text().splitlines(keepends=True)
    (output / "measurements.csv").write_text("".join(lines[:-2]))
    outcome = run_command("eval", TINY, folder, "-o", output, "--engine", "onnxruntime", "-j", 1, "--against", "jpeg")
    told = [line for line in outcome.talk.splitlines() if ": measured, " in line]
    assert told == ["small.png: measured, 32 of 32 measurements done"]


def test_progress_counts_what_was_there_before(folder: Path, whole: Path, tmp_path: Path) -> None:
    output = Path(shutil.copytree(whole, tmp_path / "run"))
    lines = (output / "measurements.csv").read_text().splitlines(keepends=True)
    (output / "measurements.csv").write_text("".join(lines[:-2]))
    heard: list[tuple[int, int]] = []
    with evaluation(TINY, _pictures(folder), output, QUICK) as run:
        assert isinstance(run, Run) and (run.done, run.total) == (30, 32)
        for name in run.pictures:
            run.measure(name, lambda progress: heard.append((progress.done, progress.total)))
    assert heard == [(31, 32), (32, 32)]


@pytest.mark.usefixtures("undrawn")
def test_the_work_for_a_picture_does_not_grow_with_the_folder(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos, count = tmp_path / "photos", 12
    photos.mkdir()
    for i in range(count):
        shutil.copy(folder / "small.png", photos / f"{i}.png")
    keys, listed = Measuring.keys, 0

    def counted(self: Measuring, picture: str) -> Any:
        nonlocal listed
        listed += 1
        return keys(self, picture)

    monkeypatch.setattr(Measuring, "keys", counted)
    settings = Settings(engine="onnxruntime", threads=1, knobs={"alpha": (1,)})
    with evaluation(TINY, _pictures(photos), tmp_path / "run", settings) as run:
        for name in run.pictures:
            run.measure(name)
        assert run.done == run.total == count and listed <= 3 * count


def test_what_else_a_folder_has_is_said(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"")
    (tmp_path / "notes.txt").write_text("of other kinds")
    said: list[str] = []
    assert _pictures(tmp_path, said.append) == {"a.png": tmp_path / "a.png"}
    assert said == [f"{tmp_path}: skipped 1 of other kinds: 1 .txt"]
