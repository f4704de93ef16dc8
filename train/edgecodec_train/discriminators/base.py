"""What every discriminator takes and gives, whatever its layers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from torch import Tensor, nn

from edgecodec.description import LatentSpec

Value = TypeVar("Value")


class Judgement(NamedTuple):
    """What a discriminator finds at one scale of a batch of pictures.

    logits: (B, 1, h, w), one for each patch; above 0 it takes the patch for a real one. features: the maps (B, C, h, w)
    between the layers, the first layer's first, for feature matching. weight: of this scale in the adversarial loss.
    """

    logits: Tensor
    features: tuple[Tensor, ...]
    weight: float


#: One for each scale, the picture's own first.
Judgements = tuple[Judgement, ...]


@dataclass(frozen=True)
class Conditions:
    """What a discriminator may look at beside the pictures. A kind that needs a missing one raises ValueError.

    latent: (B, M, h, w), as the decoder gets it. labels: (B, 1, H, W), class numbers from 0 as floats. level: the rate
    level of the whole batch, from 0.
    """

    latent: Tensor | None = None
    labels: Tensor | None = None
    level: int | None = None


@dataclass(frozen=True)
class Inputs:
    """What a discriminator is built for.

    latent: the one that comes as a condition. classes: of label maps, 0 without. levels: of rate, 1 if the codec has no
    such knob.
    """

    latent: LatentSpec
    classes: int = 0
    levels: int = 1


class Discriminator(nn.Module, ABC):
    """Tells real pictures from synthesised ones, patch by patch. Its constructor takes `Inputs`, then its options."""

    @abstractmethod
    def forward(self, image: Tensor, conditions: Conditions) -> Judgements:
        """Judge pictures (B, 3, H, W) in [0, 1]. The networks see them in [-1, 1]."""


def required(condition: Value | None, name: str) -> Value:
    """The condition itself. Raises ValueError if there is none."""
    if condition is None:
        raise ValueError(f"this discriminator needs the {name} of the pictures")
    return condition
