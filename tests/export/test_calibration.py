"""Calibration: every photograph is observed at every setting, and the cost of integers is reported for each."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from torch import Tensor

from edgecodec.errors import InvalidArgument
from edgecodec_export import pipeline
from edgecodec_export.bundle.description import Source
from edgecodec_export.calibration import to_tensor
from edgecodec_export.checkpoints import save_checkpoint
from edgecodec_export.entropy.cost import EntropyCost, summed
from edgecodec_export.entropy.freeze import freeze_entropy
from edgecodec_export.entropy.freezer import Freezer
from edgecodec_export.one_thread import one_thread
from edgecodec_export.options import ExportOptions
from edgecodec_export.originals import Original
from edgecodec_export.report import ExportReport, ReportedModel, summary
from support.make_tiny_bundle import tiny_halves
from support.tiny_codecs import tiny_codec

MODELS = (ReportedModel("89abcdef", "c.pth", 0.0),)
N = (-2.0, -1.0, 0.0, 1.0, 2.0)
ASKED = {"crdr": {"quality": (0, 2.5, 4), "beta": (3.84,)}, "hific": {}, "tunable": {}}
SETTINGS: dict[str, list[dict[str, float]]] = {
    "crdr": [{"quality": float(level)} for level in range(5)],  # all that were trained, whichever are baked
    "hific": [{}],
    "tunable": [{"n": n} for n in N],
}
Observed = tuple[int, tuple[tuple[str, float], ...]]  # number of a picture, knobs


class Counted(Exception):
    """Ends the export, with the observations counted so far."""


class Recording:
    """A freezer that counts which calibrating pictures it observes at which knobs, and freezes nothing."""

    def __init__(self, freezer: Freezer) -> None:
        self._freezer = freezer
        self._pictures = [to_tensor(picture) for picture in tiny_halves().calibrating]
        self._observed: list[tuple[Any, Observed]] = []

    def observe(self, image: Tensor, **knobs: float) -> Any:
        observation = self._freezer.observe(image, **knobs)
        (i,) = (i for i, picture in enumerate(self._pictures) if picture.equal(image))
        self._observed.append((observation, (i, tuple(knobs.items()))))
        return observation

    def freeze(self, observations: list[Any]) -> None:
        raise Counted(Counter(observed for given in observations for each, observed in self._observed if each is given))


@pytest.mark.parametrize("name", SETTINGS)
def test_every_calibrating_picture_is_observed_once_at_every_setting(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tiny_codec(name)
    recording = Recording(model.freezer())
    monkeypatch.setattr(type(model), "freezer", lambda _: recording)
    original = Original(Source(name, "tiny"), model.baking(ASKED[name]), tiny_halves())
    with pytest.raises(Counted) as stopped:
        pipeline.write_bundle(tmp_path / "b", [lambda: original])
    pictures = range(len(tiny_halves().calibrating))
    assert len(pictures) > 1
    assert stopped.value.args == ({(i, tuple(knobs.items())): 1 for i in pictures for knobs in SETTINGS[name]},)


@pytest.mark.parametrize(("name", "least"), [("agustsson", 32), ("tunable", 16)])
def test_a_photograph_too_small_for_the_networks_is_refused(name: str, least: int, tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "c.safetensors", tiny_codec(name), name, "tiny", {})
    for file in ("a.png", "b.png"):
        Image.fromarray(np.zeros((least - 1, 2 * least, 3), np.uint8)).save(tmp_path / file)
    with pytest.raises(InvalidArgument, match=f"a.png: smaller than {least} pixels a side"):
        pipeline.export_bundle(ExportOptions([tmp_path / "c.safetensors"], tmp_path / "b", calibration=tmp_path))


def test_the_total_cost_is_the_sum_and_the_summary_lists_every_setting() -> None:
    parts = [
        EntropyCost(8, 1000.0, 1001, 0.15, {"bound": 5.0}, {"n": -2.0}),
        EntropyCost(8, 500.0, 499, 0.15, {"bound": 4.0}, {"n": 0.5}),
    ]
    whole = summed(parts)
    assert (whole.pictures, whole.float_bits, whole.integer_bits, whole.knobs) == (8, 1500, 1500, {})
    assert whole.compared_bits == {"bound": 9} and whole.by_setting == tuple(parts)
    assert summed(parts[:1]) == parts[0]
    lines = summary(ExportReport(Path("b"), MODELS, {}, whole, 1))
    assert [line.split() for line in lines[-2:]] == [["at", "n-2", "+0.100", "%"], ["at", "n0.5", "-0.200", "%"]]


def test_the_summary_says_what_fitted_tables_save() -> None:
    fitted = EntropyCost(8, 900.0, 901, 0.15, density_bits=1000.0)
    assert summary(ExportReport(Path("b"), MODELS, {}, fitted, 1))[-1].split()[:4] == ["fitted", "tables", "-10.0", "%"]
    without = summary(ExportReport(Path("b"), MODELS, {}, replace(fitted, density_bits=None), 1))
    assert not any("fitted" in line for line in without)


def test_a_cost_beyond_the_bound_is_a_warning_with_settings_and_remedy() -> None:
    good = EntropyCost(8, 1e6, 1_001_400, 0.15, knobs={"quality": 0.0})
    expensive = EntropyCost(8, 1e5, 100_160, 0.15, knobs={"quality": 4.0})
    whole = summed([good, expensive])
    assert whole.overhead_percent < whole.bound_percent == 0.15
    (warning,) = warnings(whole)
    assert "more than 0.15 % bits at quality4:" in warning and "--calibration" in warning
    (alone,) = warnings(replace(expensive, knobs={}))
    assert "more than 0.15 % bits:" in alone
    assert warnings(good) == warnings(summed([good, good])) == []
    (kept,) = warnings(whole, kept=True)
    assert "kept" in kept and "without --entropy-from" in kept and "--calibration" not in kept


def warnings(cost: EntropyCost, *, kept: bool = False) -> list[str]:
    lines = summary(ExportReport(Path("b"), MODELS, {}, cost, 1, kept))
    return [line for line in lines if line.startswith("warning: ")]


def test_progress_names_every_setting() -> None:
    said: list[str] = []
    with one_thread() as workers:
        freeze_entropy(tiny_codec("tunable").baking(), tiny_halves(), None, workers, said.append)
    settings = [f"at n{n}" for n in (0, -2, 2, -1, 1)]
    assert said == [
        *(f"calibrating {setting}" for setting in settings),
        "freezing the entropy model",
        *(f"measuring {setting}" for setting in settings),
    ]
