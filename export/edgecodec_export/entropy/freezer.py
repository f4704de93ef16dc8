"""What an export needs of the entropy side of any codec."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

from torch import Tensor

from edgecodec_export.entropy.entropy_file import EntropyModel
from edgecodec_export.entropy.integer_net import IntArray


class Observation(Protocol):
    """Integers of one picture, and what the float model says of them."""

    @property
    def latents(self) -> dict[str, IntArray]:
        """(C, h, w) by name: what an entropy encoder is handed."""


class Freezer(Protocol):
    """Observes pictures with a model and freezes its entropy side."""

    #: More bits than this, of the float model's, are worth a warning: post-training has always done with fewer.
    BOUND_PERCENT: float

    def observe(self, image: Tensor, **given: Any) -> Any:
        """The Observation of (1, 3, H, W) float32 in [0, 1], sides multiples of the model's `latent_alignment`.

        A function of its arguments alone, which several threads may call at once. given: knobs of the model's `encode`,
        and side latents (1, 1, h, w) by name.
        """

    def freeze(self, observations: Sequence[Any]) -> EntropyModel:
        """The integer entropy model, ranged on the observed pictures."""

    def float_bits(self, observations: Sequence[Any]) -> float:
        """Ideal bits of these pictures under the model in floats: its own rounding, its tables or its likelihood."""


@runtime_checkable
class Counting(Protocol):
    """A freezer whose float model is not the checkpoint's, but made of counts over pictures."""

    def count(self, observations: Sequence[Any]) -> None:
        """Make the float model. `freeze` does so too."""


@runtime_checkable
class Comparing(Protocol):
    """A freezer that knows what pictures would take otherwise."""

    def compared_bits(self, observations: Sequence[Any]) -> dict[str, float]:
        """By name: bits of these pictures as others code them, or bound them."""
