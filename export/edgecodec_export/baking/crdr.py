"""CRDR at fixed knobs: the same pictures and latents, with the knobs' layers folded into the convolutions.

At a fixed quality, channel attention is an affine map of each channel. Every unit of the transforms lets such a map
through from its output to its input:

* a convolution ends it: the map becomes part of its weights and bias;
* along a residual stream x + f(x), f starts and ends with 1x1 convolutions, which undo and redo the map around f. That
  needs scales other than zero, and softplus keeps them positive.

So maps are only ever moved *backwards*. Forwards, a shift would enter a convolution padded with zeros, to which the
shift was never added: right inside the picture, wrong along its borders. For the same reason beta leaves one vector in
each residual unit of the synthesis, added in front of a zero-padded convolution.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgecodec.container import QUALITY_STEPS, quantised
from edgecodec.knobs import decimal
from edgecodec_export.baking.base import NOTHING, Asked, Baking, Decoder, Encoder, Point, distinct
from edgecodec_export.baking.base import Knobs as BakedKnobs
from edgecodec_export.families.codec import LearnedCodec
from edgecodec_export.families.crdr import (
    LATENT_UNIT,
    AttentionBlock,
    Crdr,
    InterpolatedChannelAttention,
    Knobs,
    RealismResidualUnit,
    ResidualUnit,
    Transform,
    fixed_point,
)

DEFAULT_BETAS = (0.0, 3.84)  # those of the paper's figures


class RateAndRealism(Baking):
    """quality in encoder and decoder; beta, where the model has it, in the decoder."""

    BAKED = ("quality", "beta")
    model: Crdr

    def __init__(self, model: Crdr, asked: Asked = NOTHING, mse: LearnedCodec | None = None) -> None:
        """quality is rounded as files hold it. Raises InvalidArgument for values out of range."""
        super().__init__(model, asked, mse)
        qualities = asked.get("quality", range(model.levels))
        self.qualities = distinct(quantised(model.checked_quality(quality)) for quality in qualities)
        self.betas = distinct(model.checked_beta(beta) for beta in asked.get("beta", DEFAULT_BETAS) if model.realism)

    def baked_knobs(self) -> tuple[str, ...]:
        return self.BAKED if self.model.realism else ("quality",)

    def notes(self) -> list[str]:
        return [
            f"quality {decimal(quality)} becomes {decimal(quantised(quality))}: files hold it in 1/{QUALITY_STEPS}"
            for quality in distinct(self.asked.get("quality", ()))
            if quality != quantised(quality)
        ]

    def encoder_knobs(self) -> list[BakedKnobs]:
        return [{"quality": quality} for quality in self.qualities]

    def decoder_knobs(self) -> list[BakedKnobs]:
        betas: list[BakedKnobs] = [{"beta": beta} for beta in self.betas] or [{}]
        return [{"quality": quality, **beta} for quality in self.qualities for beta in betas]

    def default_knobs(self) -> BakedKnobs:
        """Those nearest to the middle rate and to the realism of the paper's figures."""
        middle, realistic = (self.model.levels - 1) / 2, max(DEFAULT_BETAS)
        return min(
            self.decoder_knobs(),
            key=lambda knobs: (abs(knobs["quality"] - middle), abs(knobs.get("beta", 0.0) - realistic)),
        )

    def settings(self) -> list[BakedKnobs]:
        """All that were trained, whichever are baked: the entropy model is that of the checkpoint."""
        return [{"quality": float(level)} for level in range(self.model.levels)]

    def encoder(self, knobs: BakedKnobs) -> Point:
        return Point(knobs, bake_encoder(self.model, knobs["quality"]), Encoder(self.model, knobs))

    def decoder(self, knobs: BakedKnobs) -> Point:
        baked = bake_decoder(self.model, knobs["quality"], knobs.get("beta", 0.0))
        return Point(knobs, baked, Decoder(self.model, knobs))


@torch.no_grad()
def bake_encoder(model: Crdr, quality: float) -> BakedEncoder:
    """`model.encode` at `quality`, without a trace of the knob. Raises InvalidArgument for a quality out of range."""
    return BakedEncoder(model, quality).eval().requires_grad_(False)


@torch.no_grad()
def bake_decoder(model: Crdr, quality: float, beta: float) -> BakedDecoder:
    """`model.decode` at `quality` and `beta`. Raises InvalidArgument for a knob out of range."""
    return BakedDecoder(model, quality, beta).eval().requires_grad_(False)


class BakedEncoder(nn.Module):
    """Image (B, 3, H, W) in [0, 1] to the symbols of z and the fixed-point y, as `Crdr.encode`."""

    def __init__(self, model: Crdr, quality: float) -> None:
        super().__init__()
        _, layers = _moved_to_front(_at(model.analysis, Knobs(model.checked_quality(quality))))
        self.analysis = nn.Sequential(*layers).to(model.density.quantiles.dtype)
        self.hyper_analysis = copy.deepcopy(model.hyper_analysis)
        self.register_buffer("medians", model.medians.clone())

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        y = self.analysis(2 * image - 1)
        return torch.round(self.hyper_analysis(y) - self.medians), fixed_point(y)


class BakedDecoder(nn.Module):
    """y_hat in units of LATENT_UNIT to the image, as `Crdr.decode`.

    The one affine map that remains in front also holds that unit; the last convolution also maps [-1, 1] to [0, 1].
    """

    def __init__(self, model: Crdr, quality: float, beta: float) -> None:
        super().__init__()
        layers = _at(model.synthesis, Knobs(model.checked_quality(quality), model.embedding(beta)))
        remaining, baked = _moved_to_front([_affine(LATENT_UNIT, 0.0), *layers, _affine(0.5, 0.5)])
        self.layers = nn.Sequential(remaining, *baked).to(model.density.quantiles.dtype)

    def forward(self, y_hat: Tensor) -> Tensor:
        picture: Tensor = self.layers(y_hat)
        return picture


class AffineMap(nn.Module):
    """scale * x + shift, both (1, channels, 1, 1) or the same for all channels."""

    def __init__(self, scale: Tensor, shift: Tensor) -> None:
        super().__init__()
        self.register_buffer("scale", scale.detach().clone())
        self.register_buffer("shift", shift.detach().clone())

    def forward(self, x: Tensor) -> Tensor:
        return x * self.scale + self.shift

    def after(self, first: AffineMap) -> AffineMap:
        """This map of what `first` gives."""
        return AffineMap(self.scale * first.scale, self.scale * first.shift + self.shift)


class OffsetResidualUnit(ResidualUnit):
    """Residual unit with a constant vector (1, bottleneck, 1, 1) in front of its 3x3 convolution."""

    def __init__(self, unit: RealismResidualUnit, embedding: Tensor) -> None:
        channels, bottleneck = unit.enter.in_channels, unit.enter.out_channels
        super().__init__(channels, bottleneck)
        self.to(unit.enter.weight.dtype)
        self.load_state_dict({name: value for name, value in unit.state_dict().items() if name in self.state_dict()})
        self.register_buffer("offset", unit.entered(embedding))
        # What beta adds behind the 3x3 convolution meets only the 1x1 after it, where nothing is padded.
        self.leave.bias += self.leave.weight.flatten(1) @ unit.within(embedding).flatten()
        self.leave.bias += unit.left(embedding).flatten()

    def forward(self, x: Tensor) -> Tensor:
        features = F.relu(self.enter(x)) + self.offset
        return x + self.leave(F.relu(self.inside(features)))


def _affine(scale: float, shift: float) -> AffineMap:
    return AffineMap(torch.tensor(scale, dtype=torch.float64), torch.tensor(shift, dtype=torch.float64))


def _at(transform: Transform, knobs: Knobs) -> Iterator[nn.Module]:
    """Copies of the layers in double precision, one after the other, with the knobs' parts as constants."""
    for layer in transform:
        if isinstance(layer, Transform):
            yield from _at(layer, knobs)
            continue
        precise = copy.deepcopy(layer).double()
        if isinstance(precise, InterpolatedChannelAttention):
            yield AffineMap(*precise.at(knobs.quality))
        elif isinstance(precise, RealismResidualUnit):
            assert knobs.embedding is not None
            yield OffsetResidualUnit(precise, knobs.embedding.double())
        else:
            yield precise


def _moved_to_front(layers: Iterable[nn.Module]) -> tuple[AffineMap, list[nn.Module]]:
    """The same function with its affine maps moved backwards until convolutions absorb them: the one map that is left
    for the input, and the other layers, changed in place.
    """
    moving = _affine(1.0, 0.0)
    passed: list[nn.Module] = []
    for layer in reversed(list(layers)):
        if isinstance(layer, AffineMap):
            moving = moving.after(layer)
            continue
        if isinstance(layer, ResidualUnit):
            _pass_residual_unit(layer, moving)
        elif isinstance(layer, AttentionBlock):
            _pass_attention(layer, moving)
        else:
            _absorb(layer, moving)
            moving = _affine(1.0, 0.0)
        passed.append(layer)
    return moving, passed[::-1]


def _pass_residual_unit(unit: ResidualUnit, moving: AffineMap) -> None:
    """scale * (x + f(x)) + shift = u + scale * f((u - shift) / scale), where u = scale * x + shift."""
    _undo_in_front(unit.enter, moving)
    _absorb(unit.leave, AffineMap(moving.scale, torch.zeros_like(moving.shift)))


def _pass_attention(block: AttentionBlock, moving: AffineMap) -> None:
    """As a residual unit, where f is the trunk times the mask and the trunk is a residual stream of its own."""
    *units, last = block.mask
    for unit in (*block.trunk, *units):
        _pass_residual_unit(unit, moving)
    block.trunk[-1].leave.bias -= moving.shift.flatten()  # the identity of the whole block already carries it
    _undo_in_front(last, moving)


def _absorb(convolution: nn.Conv2d | nn.ConvTranspose2d, moving: AffineMap) -> None:
    """Let the convolution give what `moving` makes of its output."""
    outputs = 1 if isinstance(convolution, nn.ConvTranspose2d) else 0
    convolution.weight.transpose(0, outputs).mul_(moving.scale.reshape(-1, 1, 1, 1))
    convolution.bias.mul_(moving.scale.flatten()).add_(moving.shift.flatten())


def _undo_in_front(convolution: nn.Conv2d, moving: AffineMap) -> None:
    """Let a 1x1 convolution take moving(x) where it took x."""
    convolution.weight.div_(moving.scale)
    convolution.bias.sub_((convolution.weight * moving.shift).sum((1, 2, 3)))
