"""What an export asks of whatever freezes an entropy model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

from torch import Tensor

from edgecodec_export.entropy.entropy_file import EntropyFile
from edgecodec_export.entropy.integer_net import IntArray


class Observation(Protocol):
    """Integers of one picture, and their probabilities under the float model."""

    @property
    def latents(self) -> dict[str, IntArray]:
        """(C, h, w) by name: the input of an entropy encoder."""


class Freezer(Protocol):
    """Observes pictures with a model and freezes its entropy side."""

    #: Percent over the bits of the float model above which export warns; no trained model has needed as many.
    BOUND_PERCENT: float

    def observe(self, image: Tensor, *args: Any, **inputs: Any) -> Any:
        """The Observation of (1, 3, H, W) float32 in [0, 1], sides multiples of the model's `latent_alignment`.

        A function of its arguments alone, which several threads may call at once. inputs: knobs of the model's
        `encode`, and side inputs (1, 1, h, w), by name.
        """

    def freeze(self, observations: Sequence[Any]) -> EntropyFile:
        """The integer entropy model, ranged on the observed pictures."""

    def float_bits(self, observations: Sequence[Any]) -> float:
        """Ideal bits of these pictures under the model in floats: its own rounding, its tables or its likelihood."""


@runtime_checkable
class Fitting(Protocol):
    """A freezer that fits tables to the pictures it freezes with. From then on `float_bits` has these tables too.

    So what fitting saves, and what integers cost, are told apart.
    """

    def density_bits(self, observations: Sequence[Any]) -> float | None:
        """`float_bits` with tables of the checkpoint's own densities; None before `freeze`."""


@runtime_checkable
class Counting(Protocol):
    """A freezer whose float model does not come from the checkpoint, but from counts over pictures."""

    def count(self, observations: Sequence[Any]) -> None:
        """Make the float model. `freeze` does so too."""


@runtime_checkable
class Comparing(Protocol):
    """A freezer that knows the size of pictures in other codes, to compare with."""

    def compared_bits(self, observations: Sequence[Any]) -> dict[str, float]:
        """Bits of these pictures in another code, or under a published bound, by its name."""
