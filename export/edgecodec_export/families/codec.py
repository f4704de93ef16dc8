"""What training and export need of any codec: its latents, and the two maps between them and the picture."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from torch import Tensor, nn


@dataclass(frozen=True)
class Latent:
    """Integers on the grid of `stride` pixels, in `channels` planes."""

    name: str
    channels: int
    stride: int


class LearnedCodec(nn.Module):
    """Base of every family's model. Pictures are (B, 3, H, W) in [0, 1], sides multiples of ALIGNMENT, at both ends.

    A family whose origin works in another range converts inside `encode` and `decode`; `decode` does not clip to bytes.
    """

    FAMILY: ClassVar[str]
    PRESETS: ClassVar[Mapping[str, Any]]
    #: Picture sides are padded to this multiple, on the right and at the bottom.
    ALIGNMENT: int
    #: Smallest side, after padding, that the networks take; mirrored borders need maps wider than the border.
    SMALLEST_SIDE: ClassVar[int] = 1
    #: How sides are padded: mirrored without the edge, or mid-grey (zero where pictures are in [-1, 1]).
    PADDING: ClassVar[Literal["reflect", "grey"]] = "reflect"
    #: State dict prefixes of the tensors that act after the latents are decoded; network interpolation mixes these.
    DECODER_PREFIXES: ClassVar[tuple[str, ...]]

    def __init__(self, preset: Any) -> None:
        """preset: of the family's own type, a frozen dataclass. It decides everything but the weights."""
        super().__init__()
        self.preset = preset

    def encoder_latents(self) -> tuple[Latent, ...]:
        """What `encode` gives, in its order."""
        raise NotImplementedError

    def side_latents(self) -> tuple[Latent, ...]:
        """What is coded before `encoder_latents` and comes from elsewhere than `encode`."""
        return ()

    def classes(self) -> int:
        """How many values a label has, where side latents hold labels."""
        return 0

    def decoder_latents(self) -> tuple[Latent, ...]:
        """What `decode` takes, in its order. The same unless the entropy model computes a latent from coded ones."""
        return self.encoder_latents()

    def noise(self) -> Latent | None:
        """Noise in units of 1/4096 (`edgecodec.noise`) that `decode` takes behind its latents, where it takes any."""
        return None

    def latent_alignment(self) -> int:
        """Sides of the pictures that latents stand for, and that `decode` gives, are multiples of this.

        More than ALIGNMENT where `encode` grows its latents itself.
        """
        return math.lcm(self.ALIGNMENT, *(latent.stride for latent in self.encoder_latents()))

    def encode(self, image: Tensor) -> tuple[Tensor, ...]:
        """The integers that the entropy coder is handed, as float tensors (B, channels, H/stride, W/stride).

        Where ALIGNMENT is less than the coarsest stride, H and W stand for the next multiples of that stride: the model
        has grown its latents itself, and `decode` gives the larger picture.
        """
        raise NotImplementedError

    def decode(self, *latents: Tensor) -> Tensor:
        """The picture of what the entropy decoder gives."""
        raise NotImplementedError

    def forward(self, image: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """The picture that `decode` rebuilds, and the bits of each latent under the entropy model in floats.

        In training mode gradients pass the rounding, and bits are those of latents with uniform noise instead.
        """
        raise NotImplementedError
