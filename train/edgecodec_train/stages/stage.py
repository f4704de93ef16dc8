"""What a training stage gives the loop: a model, the losses of each step, and the scores of validation."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from edgecodec_export.families import LearnedCodec

Network = TypeVar("Network", bound=nn.Module)


class Recipe(Protocol):
    """The part of a stage's recipe that the loop reads. A recipe is a frozen dataclass of all that decides a result."""

    @property
    def steps(self) -> int: ...

    @property
    def learning_rate(self) -> float: ...

    @property
    def final_learning_rate(self) -> float: ...

    @property
    def warm_up(self) -> int:
        """Steps over which the learning rate rises first."""
        ...

    @property
    def average_decay(self) -> float:
        """Share of the running average of the weights that a step keeps."""
        ...

    @property
    def gradient_norm(self) -> float:
        """Largest norm of the gradients of an objective's `clipped` parameters."""
        ...

    @property
    def seed(self) -> int: ...


@dataclass(frozen=True)
class Objective:
    """A loss, and the optimisers that descend it.

    optimisers: each takes one step along the gradients of the parameters that it holds. clipped: parameters whose
    gradients are brought down to the recipe's norm before.
    """

    loss: Tensor
    optimisers: Sequence[torch.optim.Optimizer]
    clipped: Sequence[nn.Parameter] = field(default=())


class Stage(ABC):
    """One kind of training; `edgecodec_train.loop.train` runs it.

    A stage makes its model and its optimisers when it is made, after it has seeded PyTorch with its recipe's seed.
    """

    #: The stage's name in checkpoints.
    NAME: ClassVar[str]

    recipe: Recipe
    #: The network that is averaged, validated and saved, and the name of its preset.
    model: LearnedCodec
    preset: str
    #: The recipe and all else that decides the result, such as digests of inputs, by name.
    decisive: Mapping[str, Any]
    #: Notes of the checkpoint, besides those of every run.
    notes: Mapping[str, str]

    @abstractmethod
    def parts(self) -> Mapping[str, Any]:
        """Optimisers, and networks beside the model, by their names in the state from which a run resumes."""

    @abstractmethod
    def set_learning_rates(self, rate: float) -> None:
        """Give every optimiser its rate for the next step, by the one that the recipe's schedule has."""

    @abstractmethod
    def objectives(self, step: int, generator: np.random.Generator) -> Iterator[Objective]:
        """The losses of one step, in turn: each is computed when the optimisers have descended the one before.

        Everything that is drawn comes from `generator` or from PyTorch's own, which the loop seeds for every step.
        """

    def settle(self, averaged: LearnedCodec) -> None:
        """Adjust the averaged model before it is validated and saved."""
        return

    @abstractmethod
    def scores(self, averaged: LearnedCodec) -> Mapping[str, float]:
        """Columns of the curve: scores of the averaged model on held-out data."""


def channels_last(network: Network) -> Network:
    """The network itself, with the weights of its convolutions in the layout that processors are fastest with."""
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network
