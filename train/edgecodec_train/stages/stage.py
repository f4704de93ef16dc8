"""What a training stage gives the loop: a model, the losses of each step, and the scores of validation."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor, nn

from edgecodec_export.families import LearnedCodec
from edgecodec_train.schedule import Schedule
from edgecodec_train.validation import Validated


@dataclass(frozen=True)
class Scheduled:
    """An optimiser, the learning rate of each of its groups at step 0, and how these change."""

    optimiser: torch.optim.Optimizer
    rates: Sequence[float]
    schedule: Schedule


@dataclass(frozen=True)
class Objective:
    """A loss, and the optimisers that descend it.

    optimisers: each takes one step along the gradients of the parameters that it holds. clipped: parameters whose
    gradients are brought down to `gradient_norm` before. terms: what the curve shows of this loss, as scalars.
    """

    loss: Tensor
    optimisers: Sequence[torch.optim.Optimizer]
    clipped: Sequence[nn.Parameter] = field(default=())
    gradient_norm: float = 0.0
    terms: Mapping[str, Tensor] = field(default_factory=dict)


class Stage(ABC):
    """One kind of training; `edgecodec_train.loop.train` runs it.

    A stage makes its model and its optimisers when it is made, after it has seeded PyTorch.
    """

    #: The kind of stage, in checkpoints.
    KIND: ClassVar[str]

    #: The network that is averaged, validated and saved, and the name of its preset.
    model: LearnedCodec
    preset: str
    #: The stage ends after so many steps; validation comes every so many, and at the end.
    steps: int
    validate_every: int
    #: Share of the running average of the weights that a step keeps.
    average_decay: float
    #: A step with a larger loss is skipped.
    largest_loss: float
    #: Decides everything that is drawn.
    seed: int
    #: Notes of the checkpoint, besides those of every run.
    notes: Mapping[str, str]

    @abstractmethod
    def optimisers(self) -> Mapping[str, Scheduled]:
        """All optimisers, by their names in the state from which a run resumes."""

    def networks(self) -> Mapping[str, nn.Module]:
        """Networks beside the model, by their names in that state."""
        return {}

    @abstractmethod
    def objectives(self, step: int) -> Iterator[Objective]:
        """The losses of one step, in turn: each is computed when the optimisers have descended the one before.

        Everything that is drawn depends on `seed` and `step` alone, or comes from PyTorch's own generator, which the
        loop seeds for every step.
        """

    def settle(self, averaged: LearnedCodec) -> None:
        """Adjust a copy of the averaged model before it is validated and saved."""
        return

    def final_notes(self, averaged: LearnedCodec) -> Mapping[str, str]:
        """Notes of the checkpoint that has all steps, measured on its model."""
        return {}

    @abstractmethod
    def validate(self, averaged: LearnedCodec) -> Validated:
        """Scores of the averaged model on held-out data."""
