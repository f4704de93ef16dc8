"""The training loop: every stage runs in it, resumes, and leaves behind the running average of its model's weights."""

from __future__ import annotations

import copy
import math
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LRScheduler
from torch.optim.swa_utils import AveragedModel

from edgecodec.errors import EdgecodecError, InvalidArgument
from edgecodec_export.families import LearnedCodec
from edgecodec_train.events import Note, Progress, Report, Scored, StageDone, Stopped
from edgecodec_train.run_folder import Position, RunFolder
from edgecodec_train.schedule import advance, scheduler_at
from edgecodec_train.stages.stage import Objective, Scheduled, Stage
from edgecodec_train.stopping import Stopping
from edgecodec_train.working_clock import WorkingClock

WARM_UP = 10  # of the running average: after n steps it keeps (1 + n) / (10 + n) at most
#: Of SKIPPED_AMONG steps in a row this many may not be skipped. One bad picture in a thousand is nothing; a loss that
#: fails on every tenth batch trains another model than the recipe says.
MOST_SKIPPED, SKIPPED_AMONG = 100, 1000


def train(
    stage: Stage,
    run: RunFolder,
    position: Position,
    stopping: Stopping,
    report: Report,
    *,
    save_seconds: float = 600.0,
    report_seconds: float = 1.0,
) -> bool:
    """Run `stage` from `position` on, which moves along. Returns whether all its steps are done.

    The state is saved at every validation, every `save_seconds` and at the end, also where `stopping` ends the run
    early. Neither saving nor stopping changes what the steps compute.

    Raises InvalidArgument for a run that has diverged, and what the stage raises.
    """
    return _Loop(stage, run, position, stopping, report).run(save_seconds, report_seconds)


class _Loop:
    def __init__(self, stage: Stage, run: RunFolder, position: Position, stopping: Stopping, report: Report) -> None:
        self._stage, self._run, self._position, self._stopping, self._report = stage, run, position, stopping, report
        self._average = AveragedModel(stage.model, multi_avg_fn=_running_average(stage.average_decay))
        self._parts: dict[str, Any] = {"model": stage.model, "averaged": self._average, **stage.networks()}
        self._parts |= {f"{name} optimiser": each.optimiser for name, each in stage.optimisers().items()}
        if position.step:
            self._restore(position.parts, stage)
        position.parts = {}  # they are in the networks now
        self._schedulers = [_scheduler(each, stage.steps, position.step) for each in stage.optimisers().values()]
        self._sums = {
            name: (torch.tensor(total, dtype=torch.float64), count) for name, (total, count) in position.meters.items()
        }
        self._skipped: deque[int] = deque(maxlen=MOST_SKIPPED)  # the last ones
        self._clock, self._seconds_before = WorkingClock(), position.seconds

    def _restore(self, parts: Mapping[str, Any], stage: Stage) -> None:
        optimisers = [each.optimiser for each in stage.optimisers().values()]
        groups = [group for optimiser in optimisers for group in optimiser.param_groups]
        settings = [{name: value for name, value in group.items() if name != "params"} for group in groups]
        try:
            for name, part in self._parts.items():
                part.load_state_dict(parts[name])
        except (KeyError, ValueError, RuntimeError) as error:
            raise InvalidArgument(
                "its networks, or what of them learns, are not those of the saved state",
                where=f"stage {self._name}",
                hint="such changes have to wait for the next stage, or for another run",
            ) from error
        # An optimiser's state has its settings too; those of the recipe count, which may have changed.
        groups = [group for optimiser in optimisers for group in optimiser.param_groups]
        for group, own in zip(groups, settings, strict=True):
            group.update(own)

    def run(self, save_seconds: float, report_seconds: float) -> bool:
        with self._clock:
            return self._run_steps(save_seconds, report_seconds)

    def _run_steps(self, save_seconds: float, report_seconds: float) -> bool:
        stage, position = self._stage, self._position
        first = position.step
        saved = reported = time.monotonic()
        if position.step >= stage.steps and not position.complete:  # it has no steps, or was cut short
            self._finish()
        if not position.step and stage.steps:
            self._validate()  # the start, with which everything else is to be compared
        while position.step < stage.steps:
            reason = self._stopping.reason()
            if reason is not None:
                if position.step > first:
                    self._save()
                self._report(Stopped(self._name, position.step, stage.steps, reason, position.skipped_steps))
                return False
            self._step(position.step)
            position.step += 1
            now = time.monotonic()
            if position.step == stage.steps:
                self._finish()
            elif position.step % stage.validate_every == 0:
                self._validate()
                self._save()
                saved = time.monotonic()
            elif now - saved > save_seconds:
                self._save()
                saved = now
            if now - reported > report_seconds and "loss" in self._sums:
                self._report_progress((position.step - first) / self._clock.seconds())
                reported = now
        self._report(StageDone(self._name, self._run.checkpoint(position.stage), position.skipped_steps))
        return True

    def _finish(self) -> None:
        if self._stage.steps:
            self._validate()
        self._position.complete = True
        self._save()

    @property
    def _name(self) -> str:
        return self._run.recipe.stages[self._position.stage].name

    def _step(self, step: int) -> None:
        # All that is drawn depends on the step alone, so a resumed run draws what an unbroken one would.
        torch.manual_seed(self._stage.seed * 1_000_003 + step)
        for objective in self._stage.objectives(step):
            if not self._learn(objective):
                break
        for scheduler in self._schedulers:
            advance(scheduler)
        self._average.update_parameters(self._stage.model)

    def _learn(self, objective: Objective) -> bool:
        """Let every optimiser take a step, unless the loss or its gradient is no number, or the loss is too large.

        Returns whether they did.
        """
        loss = float(objective.loss.detach())
        if not math.isfinite(loss) or loss > self._stage.largest_loss:
            self._skip(loss)
            return False
        for optimiser in objective.optimisers:
            optimiser.zero_grad()
        # The gradients of anything else would be computed in vain.
        groups = (group for optimiser in objective.optimisers for group in optimiser.param_groups)
        learning = [parameter for group in groups for parameter in group["params"] if parameter.requires_grad]
        objective.loss.backward(inputs=learning)
        norm = nn.utils.clip_grad_norm_(objective.clipped or learning, objective.gradient_norm or math.inf)
        if not math.isfinite(norm):  # one such step would leave no number in any weight, and none in their averages
            self._skip(loss)
            return False
        for optimiser in objective.optimisers:
            optimiser.step()
        self._count(objective.terms)
        return True

    def _skip(self, loss: float) -> None:
        position, skipped = self._position, self._skipped
        position.skipped_steps += 1
        skipped.append(position.step)
        if len(skipped) == MOST_SKIPPED and position.step - skipped[0] < SKIPPED_AMONG:
            raise InvalidArgument(
                f"has diverged, or its loss is broken: {MOST_SKIPPED} of the last {position.step - skipped[0] + 1} "
                f"steps were skipped, the latest with a loss of {loss:g}",
                where=f"stage {self._name}",
                hint=f"lower its learning rate: --set stages.{self._name}.optimiser.learning_rate=...",
            )

    def _count(self, terms: Mapping[str, Tensor]) -> None:
        for name, term in terms.items():
            total, count = self._sums.get(name, (torch.tensor(0.0, dtype=torch.float64), 0))
            self._sums[name] = total + term.detach().double(), count + 1

    def _averaged(self) -> LearnedCodec:
        """A copy of the averaged model, settled."""
        averaged = copy.deepcopy(self._average.module)
        assert isinstance(averaged, LearnedCodec)
        self._stage.settle(averaged)
        return averaged

    def _validate(self) -> None:
        stage, position = self._stage, self._position
        validated = stage.validate(self._averaged())
        rates = {
            f"learning_rate_{name}": each.optimiser.param_groups[0]["lr"] for name, each in stage.optimisers().items()
        }
        means = {name: float(total) / count for name, (total, count) in self._sums.items()}
        row = {**validated.scores, **means, **rates}
        self._sums = {}
        self._run.add_row(position, row)
        sheet = self._run.add_sheet(position, validated.sheet)
        self._report(Scored(self._name, position.step, stage.steps, row, sheet))

    def _save(self) -> None:
        stage, position = self._stage, self._position
        position.seconds = self._seconds_before + self._clock.seconds()
        averaged = self._averaged()
        final = self._final_notes(averaged) if position.complete else {}
        self._run.save_checkpoint(position, averaged, stage.preset, {**stage.notes, **final})
        position.parts = {name: part.state_dict() for name, part in self._parts.items()}
        position.meters = {name: (float(total), count) for name, (total, count) in self._sums.items()}
        self._run.save(position)
        position.parts = {}

    def _final_notes(self, averaged: LearnedCodec) -> Mapping[str, str]:
        """Without what cannot be measured, so that a run of days does not fail at its last step."""
        try:
            return self._stage.final_notes(averaged)
        except EdgecodecError as error:
            self._report(Note(f"{self._name}: {error}"))
            return {}

    def _report_progress(self, steps_per_second: float) -> None:
        stage, position = self._stage, self._position
        total, count = self._sums["loss"]
        left = (stage.steps - position.step) / steps_per_second
        self._report(Progress(self._name, position.step, stage.steps, steps_per_second, left, float(total) / count))


Weights = tuple[Tensor, ...] | list[Tensor]


def _running_average(decay: float) -> Callable[[Weights, Weights, Tensor | int], None]:
    """Keeps that share of the average at every step, and less at first, when the average is mostly the start."""

    @torch.no_grad()
    def update(averaged: Weights, current: Weights, count: Tensor | int) -> None:
        share = min(decay, (1 + int(count)) / (WARM_UP + int(count)))
        if torch.is_floating_point(averaged[0]):
            torch._foreach_lerp_(averaged, current, 1 - share)
        else:
            for one, other in zip(averaged, current, strict=True):
                one.copy_(other)

    return update


def _scheduler(scheduled: Scheduled, steps: int, done: int) -> LRScheduler:
    """A resumed optimiser has the learning rates of the run so far; the schedule starts from those of step 0."""
    for group, rate in zip(scheduled.optimiser.param_groups, scheduled.rates, strict=True):
        group["lr"] = rate
        group.pop("initial_lr", None)
    return scheduler_at(scheduled.optimiser, scheduled.schedule, steps, done)
