"""The loop runs what a stage says, in the order in which it says it, and averages and saves what comes of it."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import nn

from edgecodec_export.checkpoints import read_checkpoint
from edgecodec_export.families import LearnedCodec
from edgecodec_train.loop import train
from edgecodec_train.progress import set_learning_rates
from edgecodec_train.stages.stage import Objective, Stage
from support.tiny_codecs import tiny_codec


@dataclass(frozen=True)
class Recipe:
    steps: int = 3
    learning_rate: float = 0.5
    final_learning_rate: float = 0.5
    warm_up: ClassVar[int] = 0
    average_decay: float = 0.5
    gradient_norm: float = 1.0
    seed: int = 0


class TwoLosses(Stage):
    """The first loss moves one bias by plain gradient descent, the second a number that follows that bias."""

    NAME = "two losses"

    def __init__(self) -> None:
        self.recipe, self.preset, self.notes, self.decisive = Recipe(), "tiny", {}, {"steps": Recipe.steps}
        model: Any = copy.deepcopy(tiny_codec("fidelity"))
        self.model = model
        self.bias = model.analysis[-1].bias.requires_grad_(True)
        self.bias.data.zero_()
        self.untouched = model.synthesis[0].bias.requires_grad_(True)
        self.follower = nn.Parameter(torch.zeros(()))
        self.optimisers = [torch.optim.SGD([each], lr=9.0) for each in (self.bias, self.follower)]
        self.log: list[str] = []

    def parts(self) -> dict[str, Any]:
        return {"optimiser": self.optimisers[0], "follower_optimiser": self.optimisers[1]}

    def set_learning_rates(self, rate: float) -> None:
        for optimiser in self.optimisers:
            set_learning_rates(optimiser, rate)

    def objectives(self, step: int, generator: np.random.Generator) -> Iterator[Objective]:
        self.log.append(f"step {step} draws {generator.integers(1000)} {int(torch.randint(1000, ()))}")
        yield Objective(100 * self.bias[0] + self.untouched.sum(), self.optimisers[:1], [self.bias])
        distance = self.follower - self.bias[0].detach()
        yield Objective(distance.square(), self.optimisers[1:])

    def settle(self, averaged: LearnedCodec) -> None:
        self.log.append("settle")

    def scores(self, averaged: Any) -> Mapping[str, float]:
        self.log.append("score")
        return {"bias": float(averaged.analysis[-1].bias[0].detach())}


@pytest.fixture
def stage(tmp_path: Path) -> TwoLosses:
    made = TwoLosses()
    train(made, tmp_path / "a.safetensors", save_every=2)
    return made


def test_gradients_are_clipped_where_an_objective_says_so(stage: TwoLosses) -> None:
    assert float(stage.bias[0].detach()) == pytest.approx(-0.5 * 3)  # the gradient is 100, its norm becomes 1


def test_a_loss_is_computed_after_the_one_before_was_descended(stage: TwoLosses) -> None:
    """A rate of 1/2 against a square lands the follower on the bias of that very step."""
    assert float(stage.follower.detach()) == pytest.approx(float(stage.bias[0].detach()))


def test_only_parameters_of_the_optimisers_get_gradients(stage: TwoLosses) -> None:
    assert stage.untouched.grad is None


def test_the_average_is_settled_scored_and_saved(stage: TwoLosses, tmp_path: Path) -> None:
    assert [line for line in stage.log if not line.startswith("step")] == ["settle", "score"] * 2
    # The first step sets the average; each later one keeps half of it.
    average = ((-0.5 - 1.0) / 2 - 1.5) / 2
    assert (tmp_path / "a.csv").read_text().split()[-1] == f"3,0.5,{average:.6g}"
    checkpoint = read_checkpoint(tmp_path / "a.safetensors")
    assert float(checkpoint.tensors["analysis.10.bias"][0]) == pytest.approx(average)
    assert (checkpoint.notes["stage"], checkpoint.preset) == ("two losses", "tiny")


def test_what_a_step_draws_depends_on_the_step_alone(stage: TwoLosses, tmp_path: Path) -> None:
    drawn = [line for line in stage.log if line.startswith("step")]
    assert len(set(drawn)) == 3
    (tmp_path / "a.csv").unlink()
    again = TwoLosses()
    state = torch.load(tmp_path / "a.state", weights_only=True) | {"step": 2}
    torch.save(state, tmp_path / "a.state")
    train(again, tmp_path / "a.safetensors", save_every=2)
    assert [line for line in again.log if line.startswith("step")] == drawn[2:]
