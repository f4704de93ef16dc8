"""The loop runs what a stage says, in the order in which it says it, and averages and saves what comes of it."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch
from torch import nn

from edgecodec.errors import InvalidArgument
from edgecodec_evaluate.sheet import Cell
from edgecodec_export.checkpoints import read_checkpoint
from edgecodec_export.families import LearnedCodec
from edgecodec_train import loop
from edgecodec_train.events import Event, Note, Progress, Scored, StageDone, Stopped
from edgecodec_train.loop import train
from edgecodec_train.recipe_content import parse_recipe
from edgecodec_train.run_folder import Position, RunFolder, read_rows
from edgecodec_train.schedule import Schedule
from edgecodec_train.stages.stage import Objective, Scheduled, Stage
from edgecodec_train.stopping import Stopping
from edgecodec_train.validation import Validated
from support.tiny_codecs import tiny_codec
from support.tiny_training import StopAfter

STEPS = 3


class TwoLosses(Stage):
    """The first loss moves one bias by plain gradient descent, the second a number that follows that bias."""

    KIND = "two losses"

    def __init__(self) -> None:
        self.steps, self.validate_every, self.average_decay, self.largest_loss, self.seed = STEPS, 2, 0.5, math.inf, 0
        self.preset, self.notes = "tiny", {"said": "so"}
        model: Any = copy.deepcopy(tiny_codec("fidelity"))
        self.model = model
        self.bias = model.analysis[-1].bias.requires_grad_(True)
        self.bias.data.zero_()
        self.untouched = model.synthesis[0].bias.requires_grad_(True)
        self.follower = nn.Parameter(torch.zeros(()))
        self.schedule = Schedule()
        self.loss_of_step: dict[int, float] = {}
        self.log: list[str] = []
        self._optimisers = [torch.optim.SGD([each], lr=9.0) for each in (self.bias, self.follower)]

    def optimisers(self) -> Mapping[str, Scheduled]:
        first, second = self._optimisers
        return {"bias": Scheduled(first, [0.5], self.schedule), "follower": Scheduled(second, [0.5], Schedule())}

    def networks(self) -> Mapping[str, nn.Module]:
        return {"follower": nn.ParameterList([self.follower])}

    def objectives(self, step: int) -> Iterator[Objective]:
        self.log.append(f"step {step} draws {int(torch.randint(1000, ()))}")
        loss = 100 * self.bias[0] + self.untouched.sum()
        loss = loss * self.loss_of_step.get(step, 1.0)
        yield Objective(loss, self._optimisers[:1], [self.bias], 1.0, {"loss": torch.tensor(float(step))})
        distance = self.follower - self.bias[0].detach()
        yield Objective(distance.square(), self._optimisers[1:])

    def settle(self, averaged: LearnedCodec) -> None:
        self.log.append("settle")

    def final_notes(self, averaged: LearnedCodec) -> Mapping[str, str]:
        return {"final": "yes"}

    def validate(self, averaged: Any) -> Validated:
        self.log.append("validate")
        pixels = np.zeros((8, 8, 3), np.uint8)
        return Validated({"bias": float(averaged.analysis[-1].bias[0].detach())}, [[Cell("a", "", pixels)]])


RECIPE: dict[str, Any] = {
    "title": "two losses",
    "family": "fidelity",
    "preset": "tiny",
    "data": {"crop": 64, "batch": 1},
    "stages": [{"name": "only", "steps": STEPS, "optimiser": {"learning_rate": 0.5}}],
}


@pytest.fixture(autouse=True)
def undrawn() -> Iterator[None]:
    with mock.patch("edgecodec_train.run_folder.write_curve"):
        yield


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return begun(tmp_path / "run")


def begun(path: Path) -> RunFolder:
    planned = RunFolder.plan(path, "two", parse_recipe(RECIPE, "two"))
    planned.begin()
    return planned


def finish(
    stage: Stage, run: RunFolder, stopping: Stopping | None = None, position: Position | None = None, **options: float
) -> list[Event]:
    events: list[Event] = []
    train(stage, run, position or Position(), stopping or Stopping(), events.append, **options)
    return events


def test_gradients_are_clipped_where_an_objective_says_so(run: RunFolder) -> None:
    stage = TwoLosses()
    finish(stage, run)
    assert float(stage.bias[0].detach()) == pytest.approx(-0.5 * STEPS)  # the gradient is 100, its norm becomes 1


def test_a_loss_is_computed_after_the_one_before_was_descended(run: RunFolder) -> None:
    """A rate of 1/2 against a square lands the follower on the bias of that very step."""
    stage = TwoLosses()
    finish(stage, run)
    assert float(stage.follower.detach()) == pytest.approx(float(stage.bias[0].detach()))


def test_only_parameters_of_the_optimisers_get_gradients(run: RunFolder) -> None:
    stage = TwoLosses()
    finish(stage, run)
    assert stage.untouched.grad is None


def test_the_average_is_settled_scored_and_saved(run: RunFolder) -> None:
    stage = TwoLosses()
    events = finish(stage, run)
    assert [line for line in stage.log if not line.startswith("step")] == [
        *["settle", "validate"],  # before the first step
        *["settle", "validate", "settle"] * 2,
    ]
    # The first step sets the average; the next two keep 2/11 and 3/12 of it, because it is young.
    average = (-0.5 * 2 / 11 - 1.0 * 9 / 11) * 3 / 12 - 1.5 * 9 / 12
    rows = read_rows(run.path / "only.csv")
    assert rows[-1] == {
        "step": 3,
        "bias": pytest.approx(average, rel=1e-5),
        "loss": 2,
        "learning_rate_bias": 0.5,
        "learning_rate_follower": 0.5,
    }
    assert rows[0].keys() == {"step", "bias", "learning_rate_bias", "learning_rate_follower"}
    assert rows[1]["loss"] == 0.5, "the mean of steps 0 and 1"
    checkpoint = read_checkpoint(run.path / "only.safetensors")
    assert float(checkpoint.tensors["analysis.10.bias"][0]) == pytest.approx(average)
    assert {"stage": "only", "recipe": "two", "said": "so", "final": "yes", "steps": "3"}.items() <= (
        checkpoint.notes.items()
    )
    assert [type(event) for event in events] == [Scored, Scored, Scored, StageDone]
    sheets = [f"only-{step:07}.webp" for step in (0, 2, 3)]
    assert sorted(file.name for file in (run.path / "sheets").iterdir()) == sheets


def test_saving_in_between_changes_nothing(run: RunFolder, tmp_path: Path) -> None:
    finish(TwoLosses(), run)
    often = begun(tmp_path / "often")
    events = finish(TwoLosses(), often, save_seconds=0.0, report_seconds=0.0)
    assert (run.path / "only.csv").read_bytes() == (often.path / "only.csv").read_bytes()
    progress = [event for event in events if isinstance(event, Progress)]
    assert [event.step for event in progress] == [1], (
        "validation begins a new mean, which the last two steps do not have"
    )
    assert all(event.steps_per_second > 0 and event.seconds_left >= 0 for event in progress)


@pytest.mark.parametrize("done", [1, 2])
def test_what_a_step_draws_and_sums_does_not_depend_on_a_stop(done: int, run: RunFolder, tmp_path: Path) -> None:
    whole, before, after = TwoLosses(), TwoLosses(), TwoLosses()
    finish(whole, run)
    broken = begun(tmp_path / "broken")
    stopped = finish(before, broken, StopAfter(done))[-1]
    assert stopped == Stopped("only", done, STEPS, "time", 0)
    finish(after, broken, position=broken.position())
    drawn = [line for stage in (before, after) for line in stage.log if line.startswith("step")]
    assert drawn == [line for line in whole.log if line.startswith("step")] and len(set(drawn)) == STEPS
    assert (run.path / "only.csv").read_bytes() == (broken.path / "only.csv").read_bytes()


def test_a_stop_before_the_first_step_leaves_no_state(run: RunFolder) -> None:
    finish(TwoLosses(), run, StopAfter(0))
    assert not (run.path / "state.pt").exists() and not (run.path / "only.safetensors").exists()


def test_schedules_are_those_of_now(run: RunFolder) -> None:
    """A run that is resumed with another learning rate or schedule follows it, whatever its state says."""
    finish(TwoLosses(), run, StopAfter(2))
    stage = TwoLosses()
    stage.schedule = Schedule(drops=(2,), factor=0.1)
    finish(stage, run, position=run.position())
    assert read_rows(run.path / "only.csv")[-1]["learning_rate_bias"] == pytest.approx(0.05)


def test_a_step_without_a_sound_loss_is_skipped(run: RunFolder) -> None:
    stage = TwoLosses()
    stage.loss_of_step = {1: math.nan}
    position = Position()
    finish(stage, run, position=position)
    assert position.skipped_steps == 1
    assert float(stage.bias[0].detach()) == pytest.approx(-0.5 * (STEPS - 1))


def test_a_step_without_a_sound_gradient_is_skipped(run: RunFolder) -> None:
    """The root of 0 is a number, and its slope is none. One such step would spoil every weight and every average."""

    class Root(TwoLosses):
        def objectives(self, step: int) -> Iterator[Objective]:
            for objective in super().objectives(step):
                root = (0 * self.bias[0]).sqrt() if step == 1 else 0
                yield replace(objective, loss=objective.loss + root)

    stage, position = Root(), Position()
    finish(stage, run, position=position)
    assert position.skipped_steps == 1
    assert float(stage.bias[0].detach()) == pytest.approx(-0.5 * (STEPS - 1))


def test_settings_of_optimisers_are_those_of_now(run: RunFolder) -> None:
    finish(TwoLosses(), run, StopAfter(2))
    stage = TwoLosses()
    stage.optimisers()["bias"].optimiser.param_groups[0]["momentum"] = 0.25
    finish(stage, run, position=run.position())
    assert stage.optimisers()["bias"].optimiser.param_groups[0]["momentum"] == 0.25


def test_a_state_of_other_networks_is_refused(run: RunFolder) -> None:
    finish(TwoLosses(), run, StopAfter(2))
    stage = TwoLosses()
    stage.follower = nn.Parameter(torch.zeros(2))
    with pytest.raises(InvalidArgument, match=r"stage only: .*not those of the saved state"):
        finish(stage, run, position=run.position())


def test_sums_keep_their_digits_over_a_stop(run: RunFolder) -> None:
    finish(TwoLosses(), run, StopAfter(1))
    position = run.position()
    position.meters["loss"] = (1 / 3, 1)
    stage = TwoLosses()
    stage.steps, stage.validate_every = 9, 9
    finish(stage, run, StopAfter(1), position=position)
    assert run.position().meters["loss"] == (1 / 3 + 1, 2)


def test_a_step_with_too_large_a_loss_is_skipped(run: RunFolder) -> None:
    stage = TwoLosses()
    stage.largest_loss, stage.loss_of_step = 10.0, {0: 1.0, 1: -1.0, 2: 1.0}  # 100 * -0.5 * -1 = 50
    position = Position()
    finish(stage, run, position=position)
    assert position.skipped_steps == 1


def test_a_run_that_has_diverged_says_so(run: RunFolder) -> None:
    stage = TwoLosses()
    stage.steps, stage.validate_every = 200, 1000
    stage.loss_of_step = dict.fromkeys(range(20, 200), math.inf)
    with pytest.raises(InvalidArgument, match=r"stage only: has diverged.*optimiser\.learning_rate"):
        finish(stage, run)
    assert stage.log[-1].startswith("step 119")


def test_a_loss_that_is_broken_on_every_other_batch_ends_the_run(run: RunFolder) -> None:
    stage = TwoLosses()
    stage.steps, stage.validate_every = 400, 1000
    stage.loss_of_step = dict.fromkeys(range(1, 400, 2), math.nan)
    with pytest.raises(InvalidArgument, match="100 of the last 199 steps were skipped, the latest with a loss of nan"):
        finish(stage, run)


def test_a_second_loss_that_is_always_broken_ends_the_run(run: RunFolder) -> None:
    """Also where the first one, that of the codec, is sound in every step."""

    class Broken(TwoLosses):
        def objectives(self, step: int) -> Iterator[Objective]:
            sound, other = super().objectives(step)
            yield from (sound, replace(other, loss=other.loss * math.nan))

    stage = Broken()
    stage.steps, stage.validate_every = 200, 1000
    with pytest.raises(InvalidArgument, match="100 of the last 100 steps were skipped"):
        finish(stage, run)


@pytest.mark.parametrize(("every", "ends"), [(10, True), (13, False)])
def test_a_tenth_of_the_steps_is_too_much(
    run: RunFolder, every: int, ends: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert loop.SKIPPED_AMONG == 10 * loop.MOST_SKIPPED
    monkeypatch.setattr(loop, "MOST_SKIPPED", 5)
    monkeypatch.setattr(loop, "SKIPPED_AMONG", 50)
    stage, position = TwoLosses(), Position()
    stage.steps, stage.validate_every = 60, 1000
    stage.loss_of_step = dict.fromkeys(range(0, stage.steps, every), math.inf)
    with pytest.raises(InvalidArgument) if ends else nullcontext():
        finish(stage, run, position=position)
    assert position.step == (40 if ends else 60)


def test_skipped_steps_are_told_and_noted(run: RunFolder) -> None:
    stage = TwoLosses()
    stage.loss_of_step = {1: math.nan}
    stopped = finish(stage, run, StopAfter(2))[-1]
    assert stopped == Stopped("only", 2, STEPS, "time", 1)
    done = finish(TwoLosses(), run, position=run.position())[-1]
    assert done == StageDone("only", run.path / "only.safetensors", 1)
    assert read_checkpoint(run.path / "only.safetensors").notes["skipped_steps"] == "1"


def test_hours_and_progress_leave_out_a_stop(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock of a process that is stopped for an hour jumps by as much."""
    hour, stopped, monotonic = 3600.0, [0.0], time.monotonic
    monkeypatch.setattr(time, "monotonic", lambda: monotonic() + stopped[0])

    class Halted(TwoLosses):
        def objectives(self, step: int) -> Iterator[Objective]:
            stopped[0] += hour * (step == 0)
            return super().objectives(step)

    position = Position(seconds=hour)
    events = finish(Halted(), run, position=position, report_seconds=0.0)
    assert hour < position.seconds < hour + 100
    (progress,) = (event for event in events if isinstance(event, Progress))
    assert progress.steps_per_second > 0.01


def test_a_stage_that_is_cut_short_ends_as_any_other(run: RunFolder) -> None:
    """Resumed with fewer steps than are done: validated, saved, and complete."""
    finish(TwoLosses(), run, StopAfter(2))
    shorter = TwoLosses()
    shorter.steps = 2
    position = run.position()
    assert not position.complete
    events = finish(shorter, run, position=position)
    assert [type(event) for event in events] == [Scored, StageDone]
    assert run.position().complete
    assert read_checkpoint(run.path / "only.safetensors").notes["final"] == "yes"


def test_a_complete_stage_goes_on_if_it_gets_more_steps(run: RunFolder) -> None:
    finish(TwoLosses(), run)
    longer = TwoLosses()
    longer.steps = STEPS + 1
    finish(longer, run, position=run.position())
    assert read_checkpoint(run.path / "only.safetensors").notes["steps"] == str(STEPS + 1)


def test_a_last_measurement_that_fails_does_not_undo_the_run(run: RunFolder) -> None:
    stage = TwoLosses()
    with mock.patch.object(stage, "final_notes", side_effect=InvalidArgument("cannot be fitted")):
        events = finish(stage, run)
    assert [event.text for event in events if isinstance(event, Note)] == ["only: cannot be fitted"]
    assert isinstance(events[-1], StageDone) and run.position().complete


def test_an_old_average_keeps_what_the_stage_says(run: RunFolder) -> None:
    """After many steps the share is that of the recipe."""
    stage = TwoLosses()
    stage.steps, stage.average_decay = 60, 0.5
    finish(stage, run)
    expected = 0.0
    for step in range(60):
        bias = -0.5 * (step + 1)
        expected = bias if not step else expected + (1 - min(0.5, (1 + step) / (10 + step))) * (bias - expected)
    found = float(read_checkpoint(run.path / "only.safetensors").tensors["analysis.10.bias"][0])
    assert found == pytest.approx(expected)
