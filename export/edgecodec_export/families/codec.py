"""The base of every family: a model, and the answers that export and training ask of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from torch import Tensor, nn

from edgecodec.description import Knobs, LatentSpec
from edgecodec_export.baking import NOTHING, Asked, Baking, Knob
from edgecodec_export.entropy.freezer import Freezer

NO_SIDE_INPUTS: Mapping[str, Tensor] = {}


class Rates(NamedTuple):
    """Information content of one batch, in bits."""

    latent: Tensor
    hyperlatent: Tensor

    def total(self) -> Tensor:
        return self.latent + self.hyperlatent


class Reconstruction(NamedTuple):
    """What a training pass gives.

    picture: (B, 3, H, W), about [0, 1]. rates: bits that have a gradient. rounded: bits of the latents as a file would
    have them, without a gradient; the same as those of `rates` outside training. condition: (B, channels, H/stride,
    W/stride) of the last decoder latent, rounded, which a discriminator can take beside the picture.
    """

    picture: Tensor
    rates: Rates
    rounded: Tensor
    condition: Tensor


class DecoderInput(NamedTuple):
    """A batch behind the encoder and the entropy coder.

    latents: the input of `decode`. condition: as in `Reconstruction`. knobs: those that `decode` takes.
    """

    latents: tuple[Tensor, ...]
    condition: Tensor
    knobs: Knobs


class LearnedCodec(nn.Module):
    """Base of every family's model. Pictures are (B, 3, H, W) in [0, 1], sides multiples of ALIGNMENT, at both ends.

    A family whose origin works in another range converts inside `encode` and `decode`; `decode` does not clip to bytes.
    """

    FAMILY: ClassVar[str]
    #: The family's name in a sentence, and its papers.
    PAPER: ClassVar[str]
    PRESETS: ClassVar[Mapping[str, Any]]
    #: Knobs that models of the family may have.
    KNOBS: ClassVar[tuple[Knob, ...]] = ()
    #: Picture sides are padded to this multiple, on the right and at the bottom.
    ALIGNMENT: int
    #: Smallest side, after padding, that the networks take; mirrored borders need maps wider than the border.
    SMALLEST_SIDE: ClassVar[int] = 1
    #: How sides are padded: mirrored without the edge, or mid-grey (zero where pictures are in [-1, 1]).
    PADDING: ClassVar[Literal["reflect", "grey"]] = "reflect"
    #: State dict prefixes of the tensors that act after the latents are decoded; network interpolation mixes these.
    DECODER_PREFIXES: ClassVar[tuple[str, ...]]
    #: Whether the decoder's large transposed convolutions, which double sides below the picture's full resolution, are
    #: exported as convolutions that give 2x2 pixels at once.
    SPLITS_DOUBLINGS: ClassVar[bool] = False
    #: Whether decoders have convolutions that take eight bits (`precisions.trunk`).
    HAS_TRUNK: bool = True
    #: The file that the weights were loaded from, and its own keys of tensors that have another name in it: messages
    #: about weights are in these words.
    checkpoint_file: str | None = None
    checkpoint_keys: Mapping[str, str] = {}

    def __init__(self, preset: Any) -> None:
        """preset: of the family's own type, a frozen dataclass. It decides everything but the weights."""
        super().__init__()
        self.preset = preset

    def encoder_latents(self) -> tuple[LatentSpec, ...]:
        """The latents that `encode` gives, in its order."""
        raise NotImplementedError

    def side_latents(self) -> tuple[LatentSpec, ...]:
        """Side inputs, such as label maps, that are coded before `encoder_latents` and that the user gives."""
        return ()

    def classes(self) -> int:
        """Number of values of a label, where side inputs hold labels."""
        return 0

    @classmethod
    def classes_of(cls, tensors: Mapping[str, Tensor]) -> int:
        """Number of values of a label that a model with these weights takes; 0 where they do not tell."""
        return 0

    @classmethod
    def preset_with_classes(cls, preset: Any, classes: int) -> Any:
        """The preset for labels of `classes` values, more than 0; as it is where its models take no labels."""
        return preset

    def decoder_latents(self) -> tuple[LatentSpec, ...]:
        """The latents that `decode` takes, in its order.

        The same as `encoder_latents`, unless the entropy model computes a latent from coded ones.
        """
        return self.encoder_latents()

    def noise(self) -> LatentSpec | None:
        """Noise in units of 1/4096 (`edgecodec.noise`) that `decode` takes behind its latents, where it takes any."""
        return None

    def latent_alignment(self) -> int:
        """Sides of the pictures that latents stand for, and that `decode` gives, are multiples of this.

        More than ALIGNMENT where `encode` grows its latents itself.
        """
        return math.lcm(self.ALIGNMENT, *(latent.stride for latent in self.encoder_latents()))

    def encode(self, image: Tensor, *args: Any, **knobs: Any) -> tuple[Tensor, ...]:
        """The integers for the entropy coder, as float tensors (B, channels, H/stride, W/stride).

        Where ALIGNMENT is less than the coarsest stride, H and W stand for the next multiples of that stride: the model
        has grown its latents itself, and `decode` gives the larger picture.
        """
        raise NotImplementedError

    def decode(self, *latents: Any, **knobs: Any) -> Tensor:
        """The picture of the latents that the entropy decoder gives, and of `noise` behind them."""
        raise NotImplementedError

    def forward(self, image: Tensor, *args: Any, **knobs: Any) -> Reconstruction:
        """The picture that `decode` rebuilds, and the bits of the latents under the entropy model in floats.

        In training mode gradients pass the rounding, and bits are those of latents with uniform noise instead.
        """
        raise NotImplementedError

    # ---- export ----

    def baking(self, asked: Asked = NOTHING, mse: LearnedCodec | None = None) -> Baking:
        """The encoders and decoders to export: at the values that are asked for, or at the family's own choice.

        mse: a second model with the same encoder, whose decoder was trained for fidelity. Raises InvalidArgument for
        knobs that the model does not have, and what the family's own baking raises.
        """
        return Baking(self, asked, mse)

    def freezer(self) -> Freezer:
        """Makes the integer entropy model of this one."""
        raise NotImplementedError

    # ---- training ----

    def trained_knobs(self) -> Mapping[str, tuple[float, float]]:
        """The knobs that `forward` takes, with the lowest and the highest value of each in this model."""
        return {knob.name: (knob.range.low, knob.range.high) for knob in self.KNOBS if knob.range is not None}

    def initialise(self, photographs: Tensor) -> None:
        """Prepare a freshly drawn model for its first step, by photographs (n, 3, H, W) in [0, 1].

        Without a method of its own a family starts as PyTorch draws it.
        """

    @classmethod
    def with_realism(cls, preset: str, tensors: Mapping[str, Tensor]) -> tuple[str, Mapping[str, Tensor]]:
        """The name of the preset and the weights with which a decoder begins to learn realism.

        The same as before, unless the family has a preset with more for it: a knob of realism, every value of which
        gives the picture as before; or noise to make texture of, which changes the picture from the start.
        """
        return preset, tensors

    @torch.no_grad()
    def decoder_input(self, image: Tensor, knobs: Knobs, side: Mapping[str, Tensor] = NO_SIDE_INPUTS) -> DecoderInput:
        """Encode (B, 3, H, W) in [0, 1] as a file would be, rounding and all. side: `side_latents` by name."""
        latents = self.encode(image)
        return DecoderInput(latents, latents[-1], {})
