"""A checkpoint's fitted rate stands in the bundle with its knob; a note that is wrong is refused for what it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from edgecodec.description import INDEX, MANIFEST, RateFit
from edgecodec.errors import CheckpointRejected
from edgecodec_export.checkpoints import (
    RATE_FIT,
    load_model,
    rate_fit_note,
    rate_fits,
    read_checkpoint,
    save_checkpoint,
)
from edgecodec_export.options import ExportOptions
from edgecodec_export.pipeline import export_bundle
from support.index_description import described
from support.make_tiny_bundle import tiny_pictures
from support.tiny_codecs import tiny_codec

FIT = RateFit(-2.0, 1.5, (-3.125, -0.5, 1e-3), 1.25)
VALUES = {"coefficients": [-3.125, -0.5, 1e-3], "high": 1.5, "low": -2.0, "residual_percent": 1.25}


def saved(folder: Path, name: str = "tunable", **notes: str) -> Path:
    path = folder / "a.safetensors"
    save_checkpoint(path, tiny_codec(name), name, "tiny", notes)
    return path


def fits_in(path: Path) -> dict[str, RateFit]:
    checkpoint = read_checkpoint(path)
    return rate_fits(checkpoint, load_model(checkpoint))


def test_the_note_keeps_the_fit(tmp_path: Path) -> None:
    note = rate_fit_note({"n": FIT})
    assert json.loads(note) == {"n": VALUES}
    assert fits_in(saved(tmp_path, **{RATE_FIT: note})) == {"n": FIT}


def test_without_a_note_there_is_no_fit(tmp_path: Path) -> None:
    assert fits_in(saved(tmp_path)) == {}


@pytest.mark.parametrize(
    ("note", "problem"),
    [
        ("no", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("[]", "is not an object"),
        ({"m": VALUES}, "has a fit for 'm'; the scalar knobs are: n"),
        ({"n": None}, "n is not an object"),
        ({"n": {}}, "n has no 'coefficients'"),
        ({"n": {**VALUES, "coefficients": [float("nan")]}}, r"n: coefficients\[0\] is not a number"),
        ({"n": {**VALUES, "coefficients": [1, float("inf")]}}, r"n: coefficients\[1\] is not a number"),
        ({"n": {**VALUES, "coefficients": [0] * 9}}, "n: coefficients has 9 numbers, not 1 to 8"),
        ({"n": {**VALUES, "low": 3}}, "n goes from 3 to 1.5"),
    ],
)
def test_a_wrong_note_is_refused(tmp_path: Path, note: Any, problem: str) -> None:
    path = saved(tmp_path, **{RATE_FIT: note if isinstance(note, str) else json.dumps(note)})
    with pytest.raises(CheckpointRejected, match=rf"its note 'rate_fit' .*{problem}") as caught:
        fits_in(path)
    assert caught.value.where == str(path)


def test_a_family_without_scalars_has_no_fit(tmp_path: Path) -> None:
    path = saved(tmp_path, "fidelity", **{RATE_FIT: rate_fit_note({"alpha": FIT})})
    with pytest.raises(CheckpointRejected, match="has a fit for 'alpha'; the scalar knobs are: none"):
        fits_in(path)


def test_an_export_takes_the_fit_from_the_note_to_the_bundle(tmp_path: Path) -> None:
    calibration = tmp_path / "photographs"
    calibration.mkdir()
    for number, picture in enumerate(tiny_pictures(2, 64, 64)):
        Image.fromarray(picture).save(calibration / f"{number}.png")
    path = saved(tmp_path, **{RATE_FIT: rate_fit_note({"n": FIT})})
    export_bundle(ExportOptions([path], tmp_path / "a.bundle", calibration=calibration, precision=("fp32",)))
    (knob,) = described((tmp_path / "a.bundle" / INDEX).read_bytes()).knobs
    assert (knob.name, knob.low, knob.high, knob.default, knob.rate_fit) == ("n", -2.0, 2.0, 0.0, FIT)
    (values,) = json.loads((tmp_path / "a.bundle" / MANIFEST).read_text())["knobs"]
    assert values["rate_fit"] == VALUES


def test_a_wrong_note_ends_an_export_before_it_begins(tmp_path: Path) -> None:
    path = saved(tmp_path, **{RATE_FIT: rate_fit_note({"m": FIT})})
    lines: list[str] = []
    with pytest.raises(CheckpointRejected, match="has a fit for 'm'"):
        export_bundle(ExportOptions([path], tmp_path / "a.bundle", precision=("fp32",)), lines.append)
    assert lines == ["reading checkpoints"]
