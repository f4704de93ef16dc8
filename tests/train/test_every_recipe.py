"""Every recipe that is shipped trains: its stages, losses and discriminators, with networks of a few channels."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from unittest import mock

import pytest
import torch

from edgecodec.errors import CannotRead, CheckpointRejected
from edgecodec_export.checkpoints import load_model, rate_fits, read_checkpoint
from edgecodec_train import run_folder
from edgecodec_train.events import Event, Note, Scored, StageDone, Stopped
from edgecodec_train.recipe_content import as_content, parse_recipe
from edgecodec_train.recipe_files import known_recipes, read_recipe
from edgecodec_train.run_folder import RunFolder, read_rows
from support.tiny_training import EVERY, STEPS, StopAfter, photographs, run_tiny, scenes, tiny_presets

#: One for each family and kind of stage: everything, the decoder alone, scenes, grain, levels, a rate target.
SOME = ["agustsson-compact", "agustsson-sc-compact", "crdr", "fidelity-compact", "hific", "tunable-compact"]


ALL = [pytest.param(name, marks=() if name in SOME else pytest.mark.slow) for name in sorted(known_recipes())]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photographs in a folder, and scenes beside it."""
    folder = tmp_path_factory.mktemp("data")
    scenes(folder / "scenes.tar")
    return photographs(folder / "photographs").parent


@pytest.fixture(autouse=True, scope="module")
def undrawn() -> Iterator[None]:
    """Drawing curves takes longer than these runs, and is tested elsewhere."""
    with mock.patch.object(run_folder, "write_curve"):
        yield


@dataclass(frozen=True)
class Finished:
    """A run that nothing stopped, and what it told."""

    checkpoints: list[Path]
    events: list[Event]

    @property
    def folder(self) -> Path:
        return self.checkpoints[0].parent


@pytest.fixture(scope="module")
def finished(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Finished]:
    """Runs of recipes, each made when it is first asked for."""

    @cache
    def run(name: str) -> Finished:
        events: list[Event] = []
        made = run_tiny(name, source(name, data), tmp_path_factory.mktemp(name) / "run", report=events.append)
        return Finished(made, events)

    return run


def source(name: str, data: Path) -> Path:
    kind = read_recipe(name)["data"].get("kind", "photographs")
    return data / ("scenes.tar" if kind == "scenes" else "photographs")


def stages_of(name: str) -> list[str]:
    return [stage["name"] for stage in read_recipe(name)["stages"]]


@pytest.mark.parametrize("name", ALL)
def test_a_recipe_trains_to_its_end(name: str, finished: Callable[[str], Finished]) -> None:
    run, stages = finished(name), stages_of(name)
    assert [path.stem for path in run.checkpoints] == stages
    assert [event.stage for event in run.events if isinstance(event, StageDone)] == stages
    for stage in stages:
        checkpoint = read_checkpoint(run.folder / f"{stage}.safetensors")
        assert (checkpoint.notes["recipe"], checkpoint.notes["stage"]) == (name, stage)
        assert checkpoint.notes["steps"] == str(STEPS)
        (followed,) = json.loads(checkpoint.notes["recipes"])
        assert followed[:2] == [stages[0], 0]
        assert as_content(parse_recipe(followed[2], name)) == followed[2]
        with tiny_presets():
            assert read_recipe(name)["family"] == load_model(checkpoint).FAMILY
        rows = read_rows(run.folder / f"{stage}.csv")
        assert [row["step"] for row in rows] == list(range(0, STEPS + 1, EVERY))
        assert all(math.isfinite(value) for row in rows for value in row.values())
        assert len(list((run.folder / "sheets").glob(f"{stage}-*.webp"))) == 1 + STEPS // EVERY


@pytest.mark.parametrize("name", ALL)
def test_a_resumed_run_is_an_unbroken_one(
    name: str, finished: Callable[[str], Finished], data: Path, tmp_path: Path
) -> None:
    """Stopped once in every stage, at a step without validation: curves and weights are the same to the last bit."""
    events: list[Event] = []
    made = run_tiny(name, source(name, data), tmp_path, stopping=StopAfter(3), report=events.append)
    for _ in stages_of(name):
        made = run_tiny(name, source(name, data), tmp_path, resume=True, stopping=StopAfter(4), report=events.append)
    assert len([event for event in events if isinstance(event, Stopped)]) == len(stages_of(name))
    for before, after in zip(finished(name).checkpoints, made, strict=True):
        assert before.with_suffix(".csv").read_bytes() == after.with_suffix(".csv").read_bytes()
        one, other = read_checkpoint(before), read_checkpoint(after)
        assert one.tensors.keys() == other.tensors.keys()
        for tensor, value in one.tensors.items():
            assert torch.equal(value, other.tensors[tensor]), tensor


@pytest.mark.parametrize(
    "name", [each for each in ALL if "compact" in str(each.values[0]) and "hyperprior" not in str(each.values[0])]
)
def test_the_decoder_alone_leaves_the_rest_as_it_is(name: str, finished: Callable[[str], Finished]) -> None:
    first, second = finished(name).checkpoints
    before, after = read_checkpoint(first).tensors, read_checkpoint(second).tensors
    changed = {tensor for tensor in before if not torch.equal(before[tensor], after[tensor])}
    prefixes = ("synthesis.", "realism.")
    assert changed and all(tensor.startswith(prefixes) for tensor in changed)
    assert all(tensor.startswith(prefixes) for tensor in after.keys() - before.keys())


def test_a_missing_pretrained_network_is_said_and_noted(finished: Callable[[str], Finished]) -> None:
    run = finished("fidelity-compact")
    said = [event.text for event in run.events if isinstance(event, Note) and "in place of" in event.text]
    assert said == ["realism: ms-ssim in place of vgg19-conv5_4, whose weights were not given"]
    notes = [read_checkpoint(path).notes for path in run.checkpoints]
    assert "substitute" not in notes[0]
    assert notes[1]["substitute"] == "ms-ssim in place of vgg19-conv5_4, whose weights were not given"


def test_scores_name_the_knobs_they_are_for(finished: Callable[[str], Finished]) -> None:
    scores = next(event.scores for event in finished("tunable-compact").events if isinstance(event, Scored))
    for n in ("-2", "0", "2"):
        assert {f"psnr_db_n_{n}", f"bits_per_pixel_n_{n}", f"ms_ssim_n_{n}", f"detail_n_{n}"} <= scores.keys()


def test_the_fitted_rate_is_in_every_complete_checkpoint(finished: Callable[[str], Finished]) -> None:
    for path in finished("tunable-compact").checkpoints:
        checkpoint = read_checkpoint(path)
        with tiny_presets():
            (fit,) = rate_fits(checkpoint, load_model(checkpoint)).values()
        assert (fit.low, fit.high) == (-2.0, 2.0)


def test_frozen_weights_stay(finished: Callable[[str], Finished]) -> None:
    """The first stage of CRDR has one rate: channel attention stays without effect. The second has all of them."""
    single, many, _ = finished("crdr").checkpoints
    attention = {name: tensor for name, tensor in read_checkpoint(single).tensors.items() if "_rate." in name}
    assert attention
    for name, tensor in attention.items():
        expected = math.log(math.e - 1) if name.endswith("weight") else 0.0
        assert torch.allclose(tensor, torch.full_like(tensor, expected)), name
    moved = read_checkpoint(many).tensors
    assert any(not torch.equal(tensor, moved[name]) for name, tensor in attention.items())


def test_class_names_go_into_checkpoints_of_selective_codecs(finished: Callable[[str], Finished]) -> None:
    for path in finished("agustsson-sc-compact").checkpoints:
        assert read_checkpoint(path).classes == tuple(f"class{number}" for number in range(5))


def test_a_run_keeps_its_recipe_and_follows_changes_from_where_they_came(data: Path, tmp_path: Path) -> None:
    run_tiny("hyperprior-compact", source("hyperprior", data), tmp_path / "run", stopping=StopAfter(2))
    change = "stages.rate-distortion.steps=6"
    (made,) = run_tiny("hyperprior-compact", source("hyperprior", data), tmp_path / "run", change, resume=True)
    run = RunFolder.reopen(tmp_path / "run")
    assert [(stage, step) for stage, step, _ in run.history] == [(0, 0), (0, 2)]
    followed = json.loads(read_checkpoint(made).notes["recipes"])
    assert [content["stages"][0]["steps"] for _, _, content in followed] == [STEPS, 6]
    assert read_checkpoint(made).notes["steps"] == "6"


def test_realism_is_taught_to_a_codec_that_is_there(
    finished: Callable[[str], Finished], data: Path, tmp_path: Path
) -> None:
    """A stage of 0 steps passes on what the recipe starts from, whose encoder stays as it is."""
    start = finished("hific-compact").checkpoints[0]
    changes = (f"start={start}", "stages.rate-distortion.steps=0")
    passed, taught = run_tiny("hific-compact", source("hific-compact", data), tmp_path / "run", *changes)
    before = read_checkpoint(start).tensors
    assert all(torch.equal(tensor, before[name]) for name, tensor in read_checkpoint(passed).tensors.items())
    after = read_checkpoint(taught).tensors
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed and all(name.startswith("synthesis.") for name in changed)


def test_a_start_of_another_family_is_refused(finished: Callable[[str], Finished], data: Path, tmp_path: Path) -> None:
    start = finished("fidelity-compact").checkpoints[0]
    with pytest.raises(CheckpointRejected, match="fidelity"):
        run_tiny("hific-compact", source("hific-compact", data), tmp_path / "run", f"start={start}")
    with pytest.raises(CannotRead, match="nobody"):
        run_tiny("hific-compact", source("hific-compact", data), tmp_path / "run", "start=nobody")
    assert not (tmp_path / "run").exists()


def test_a_run_leaves_small_numbers_as_they_are(finished: Callable[[str], Finished]) -> None:
    finished("fidelity-compact")
    assert float(torch.tensor([1e-310], dtype=torch.float64) * 1.0) > 0
