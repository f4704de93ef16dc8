"""CRDR: one codec for a range of rates, and of realism at each (Iwai, Miyazaki, Omachi, WACV 2024).

Transforms of residual units and attention (those of ELIC, He et al. 2022), a mean-scale hyperprior, and a context over
channel slices (Minnen and Singh 2020). Layers and widths are those of `config/crdr.yaml` in the public code
(iwa-shi/CRDR). What it has of ELIC is the transforms: its context is ten equal slices ("charm"), not ELIC's uneven
groups with a checkerboard. Two knobs:

    quality   real, 0 (smallest files) to levels - 1; acts in the analysis and in the synthesis
    beta      real, 0 (faithful) to 5.12 (realistic); acts in the synthesis only, so it is the receiver's choice

The entropy model hears neither, so one serves every pair. Shapes, for an image of height H and width W whose sides are
multiples of `ALIGNMENT`:

    image (B, 3, H, W) in [0, 1]     latent y (B, M, H/16, W/16)     hyperlatent z (B, N, H/64, W/64)

z is coded as round(z - median). y is coded slice by slice of M / slices channels, as round(y - mean) with a Gaussian of
the predicted scale; mean and scale of a slice hear z and the slices decoded before it. Convolutions are zero padded.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgecodec.errors import InvalidArgument
from edgecodec_export.families.blocks import (
    FactorizedDensity,
    add_uniform_noise,
    gaussian_likelihood,
    round_straight_through,
)
from edgecodec_export.families.codec import Latent, LearnedCodec
from edgecodec_export.families.hyperprior import Rates, down5, up5

LATENT_UNIT = 1 / 64  # y and y_hat cross the seam to the entropy coder as integers of this unit
LATENT_LIMIT = 32767  # and are clipped to this magnitude
LARGEST_BETA = 5.12
BETA_FREQUENCIES = 10
UNITS_PER_BLOCK = 3


@dataclass(frozen=True)
class Preset:
    """Widths of one size of CRDR.

    analysis, synthesis: channels of the transform, and of the bottleneck inside its residual units.
    hyper_channels: width between the latent and the hyperlatent.
    slices: into which the latent's channels are divided evenly.
    supports: most earlier slices that a slice hears; they are the first ones, not the latest.
    context_channels: the two hidden widths of each context network.
    levels: rates that are trained; quality interpolates between them.
    realism_channels: width of the embedding of beta; 0 for a codec of many rates but without that knob.
    """

    analysis: tuple[int, int]
    synthesis: tuple[int, int]
    latent_channels: int
    hyperlatent_channels: int
    hyper_channels: int
    slices: int
    supports: int
    context_channels: tuple[int, int]
    levels: int
    realism_channels: int


class Slice(NamedTuple):
    """One slice of the latent, each field (B, M / slices, H/16, W/16).

    symbols: the integers that are coded. scale: as the network gives it, not yet bounded from below.
    residual: prediction of the rounding error, in (-0.5, 0.5). y_hat = symbols + mean + residual.
    """

    symbols: Tensor
    mean: Tensor
    scale: Tensor
    residual: Tensor
    y_hat: Tensor


class Crdr(LearnedCodec):
    """Both transforms, the hyperprior and the context at a preset's size.

    Without knobs named, quality is 0 and beta is 0: the smallest files, decoded as faithfully as they can be. A codec
    without realism channels has no other beta; the public one, which is the start of the other, has the decoder
    `ElicInterpCaDecoder`.
    """

    FAMILY = "crdr"
    PRESETS: ClassVar = {
        "published": Preset((192, 96), (256, 128), 320, 192, 256, 10, 5, (224, 128), 5, 512),
        "published-multirate": Preset((192, 96), (256, 128), 320, 192, 256, 10, 5, (224, 128), 5, 0),
        "compact": Preset((64, 32), (64, 32), 96, 48, 64, 4, 2, (24, 16), 5, 64),
        "compact-multirate": Preset((64, 32), (64, 32), 96, 48, 64, 4, 2, (24, 16), 5, 0),
    }
    ALIGNMENT = 64
    DECODER_PREFIXES = ("synthesis.", "realism.")
    #: Weight of the distortion at each level, relative to the middle one: from 3.6 to 0.1 on the rate in the original.
    DISTORTION_RATIOS: ClassVar = (0.8 / 3.6, 0.8 / 1.8, 1.0, 0.8 / 0.4, 0.8 / 0.1)

    def __init__(self, preset: Preset) -> None:
        super().__init__(preset)
        m, n = preset.latent_channels, preset.hyperlatent_channels
        self.latent_channels, self.hyperlatent_channels = m, n
        self.slices, self.supports, self.levels = preset.slices, preset.supports, preset.levels
        self.analysis = _analysis(preset)
        self.synthesis = _synthesis(preset)
        self.realism = RealismEmbedding(preset.realism_channels) if preset.realism_channels else None
        self.hyper_analysis = nn.Sequential(
            nn.Conv2d(m, m, 3, padding=1),
            nn.ReLU(),
            down5(m, preset.hyper_channels),
            nn.ReLU(),
            down5(preset.hyper_channels, n),
        )
        self.hyper_synthesis_mean = _hyper_synthesis(preset)
        self.hyper_synthesis_scale = _hyper_synthesis(preset)
        self.density = FactorizedDensity(n)
        self.context = ChannelContext(preset)

    def encoder_latents(self) -> tuple[Latent, ...]:
        return Latent("z", self.hyperlatent_channels, 64), Latent("y", self.latent_channels, 16)

    def decoder_latents(self) -> tuple[Latent, ...]:
        return (Latent("y_hat", self.latent_channels, 16),)

    def encode(self, image: Tensor, quality: float = 0.0) -> tuple[Tensor, Tensor]:
        """Symbols of z, and y in units of LATENT_UNIT: what the slices are cut from is rounded by the entropy coder.

        Raises InvalidArgument for a quality out of range.
        """
        y = self.analyse(image, quality)
        return self.hyperlatent_symbols(y), fixed_point(y)

    def decode(self, y_hat: Tensor, quality: float = 0.0, beta: float = 0.0) -> Tensor:  # type: ignore[override]
        """The picture of y_hat in units of LATENT_UNIT. Raises InvalidArgument for a knob out of range."""
        return self.synthesise(y_hat * LATENT_UNIT, quality, beta)

    def analyse(self, image: Tensor, quality: float) -> Tensor:
        """y of an image, not rounded."""
        return self.analysis(2 * image - 1, Knobs(self.checked_quality(quality)))

    def synthesise(self, y_hat: Tensor, quality: float, beta: float) -> Tensor:
        """The image of y_hat, in about [0, 1]."""
        picture = self.synthesis(y_hat, Knobs(self.checked_quality(quality), self.embedding(beta)))
        return (picture + 1) / 2

    def checked_quality(self, quality: float) -> float:
        """`quality` itself. Raises InvalidArgument outside 0 to levels - 1."""
        if not 0 <= quality <= self.levels - 1:
            raise InvalidArgument(f"quality must be between 0 and {self.levels - 1}, not {quality}")
        return quality

    def checked_beta(self, beta: float) -> float:
        """`beta` itself. Raises InvalidArgument outside 0 to 5.12, or for any but 0 where there is no such knob."""
        largest = LARGEST_BETA if self.realism else 0.0
        if not 0 <= beta <= largest:
            raise InvalidArgument(f"beta must be between 0 and {largest}, not {beta}")
        return beta

    def embedding(self, beta: float) -> Tensor | None:
        """(1, realism_channels, 1, 1) vector for `beta`, or None where the codec has no such knob.

        Raises InvalidArgument for a beta out of range.
        """
        checked = self.checked_beta(beta)
        return self.realism(checked) if self.realism else None

    def hyperlatent_symbols(self, y: Tensor) -> Tensor:
        """The integers of z."""
        return torch.round(self.hyper_analysis(y) - self.medians)

    @property
    def medians(self) -> Tensor:
        """(1, N, 1, 1) values of z that code as symbol 0."""
        return self.density.medians.reshape(1, -1, 1, 1)

    def slices_of(self, z_symbols: Tensor, y: Tensor | None = None, symbols: Tensor | None = None) -> list[Slice]:
        """Walk the slices as encoder (given y) or decoder (given the symbols), both (B, M, H/16, W/16).

        Given both, the symbols win: the encoder's walk along another's decisions. In floats, rounding half to even.
        """
        given = y if symbols is None else symbols
        if given is None:
            raise InvalidArgument("the slices need y or the symbols")
        walk = self.walk(z_symbols + self.medians)
        walked = []
        for part in given.chunk(self.slices, 1):
            mean, scale = walk.predict()
            chosen = torch.round(part - mean) if symbols is None else part
            residual = walk.append(chosen + mean)
            walked.append(Slice(chosen, mean, scale, residual, chosen + mean + residual))
        return walked

    def forward(self, image: Tensor, quality: float | None = None, beta: float = 0.0) -> tuple[Tensor, Rates]:
        """Reconstruction from rounded latents; rates in training from latents with uniform noise, else rounded ones.

        One quality for the whole batch, the middle one where none is given. Rounding has a straight-through gradient on
        the way to the pixels and into the context of later slices (Minnen and Singh 2020).
        """
        if quality is None:
            quality = (self.levels - 1) / 2
        y = self.analyse(image, quality)
        z = self.hyper_analysis(y)
        z_rounded = round_straight_through(z - self.medians) + self.medians
        walk = self.walk(z_rounded)
        latent_bits = y.new_zeros(())
        for part in y.chunk(self.slices, 1):
            mean, scale = walk.predict()
            symbols = round_straight_through(part - mean)
            coded = add_uniform_noise(part - mean) if self.training else symbols
            latent_bits = latent_bits - gaussian_likelihood(coded, scale).log2().sum()
            walk.append(symbols + mean)
        coded = add_uniform_noise(z) if self.training else z_rounded
        rates = Rates(latent=latent_bits, hyperlatent=-self.density.likelihood(coded).log2().sum())
        return self.synthesise(torch.cat(walk.decoded, 1), quality, beta), rates

    def walk(self, z: Tensor) -> ContextWalk:
        """Start before the first slice, for the rounded z (symbols plus medians)."""
        return self.context.walk(self.hyper_synthesis_mean(z), self.hyper_synthesis_scale(z))


def fixed_point(y: Tensor) -> Tensor:
    """Integers of unit LATENT_UNIT, rounded half to even and clipped to LATENT_LIMIT."""
    return torch.round(y / LATENT_UNIT).clamp(-LATENT_LIMIT, LATENT_LIMIT)


class Knobs(NamedTuple):
    """What the layers of a transform may hear: the quality, and the embedding of beta where there is one."""

    quality: float
    embedding: Tensor | None = None


class Transform(nn.Sequential):
    """Layers in a row, some of which hear the knobs."""

    def forward(self, x: Tensor, knobs: Knobs) -> Tensor:
        for layer in self:
            hears = isinstance(layer, (Transform, InterpolatedChannelAttention, RealismResidualUnit))
            x = layer(x, knobs) if hears else layer(x)
        return x


def _analysis(preset: Preset) -> Transform:
    """Image in [-1, 1] to y: four halvings, with channel attention after every stage."""
    channels, bottleneck = preset.analysis
    m = preset.latent_channels
    layers: OrderedDict[str, nn.Module] = OrderedDict()

    def stage(name: str, layer: nn.Module, outputs: int) -> None:
        layers[name] = layer
        layers[f"{name}_rate"] = InterpolatedChannelAttention(preset.levels, outputs)

    stage("down1", down5(3, channels), channels)
    stage("block1", _block(channels, bottleneck), channels)
    stage("down2", down5(channels, channels), channels)
    stage("block2", _block(channels, bottleneck), channels)
    stage("attention2", AttentionBlock(channels), channels)
    stage("down3", down5(channels, channels), channels)
    stage("block3", _block(channels, bottleneck), channels)
    stage("down4", down5(channels, m), m)
    stage("attention4", AttentionBlock(m), m)
    return Transform(layers)


def _synthesis(preset: Preset) -> Transform:
    """y to image in [-1, 1], not clipped: four doublings, with channel attention before every stage."""
    channels, bottleneck = preset.synthesis
    m, realism = preset.latent_channels, preset.realism_channels
    layers: OrderedDict[str, nn.Module] = OrderedDict()

    def stage(name: str, layer: nn.Module, inputs: int) -> None:
        layers[f"{name}_rate"] = InterpolatedChannelAttention(preset.levels, inputs)
        layers[name] = layer

    stage("attention1", AttentionBlock(m), m)
    stage("up1", up5(m, channels), m)
    stage("block1", _block(channels, bottleneck, realism), channels)
    stage("up2", up5(channels, channels), channels)
    stage("attention2", AttentionBlock(channels), channels)
    stage("block2", _block(channels, bottleneck, realism), channels)
    stage("up3", up5(channels, channels), channels)
    stage("block3", _block(channels, bottleneck, realism), channels)
    stage("up4", up5(channels, 3), channels)
    return Transform(layers)


def _hyper_synthesis(preset: Preset) -> nn.Sequential:
    """z to the features from which the context networks predict every slice."""
    n, middle = preset.hyperlatent_channels, preset.hyper_channels
    return nn.Sequential(
        up5(n, n), nn.ReLU(), up5(n, middle), nn.ReLU(), nn.Conv2d(middle, preset.latent_channels, 3, padding=1)
    )


def _block(channels: int, bottleneck: int, realism_channels: int = 0) -> Transform:
    if realism_channels:
        return Transform(*(RealismResidualUnit(channels, bottleneck, realism_channels) for _ in range(UNITS_PER_BLOCK)))
    return Transform(*(ResidualUnit(channels, bottleneck) for _ in range(UNITS_PER_BLOCK)))


class InterpolatedChannelAttention(nn.Module):
    """Scale and shift of every channel, one pair for each trained rate: the ICA of the paper, `interp_ca` of the code.

    Between two rates the stored values are interpolated; softplus, which keeps scales positive, comes after.
    """

    def __init__(self, levels: int, channels: int) -> None:
        super().__init__()
        identity = math.log(math.e - 1)  # softplus makes 1 of it
        self.weight = nn.Parameter(torch.full((levels, channels, 1, 1), identity))
        self.bias = nn.Parameter(torch.zeros(levels, channels, 1, 1))

    def at(self, quality: float) -> tuple[Tensor, Tensor]:
        """(1, channels, 1, 1) scale and shift at a quality from 0 to levels - 1."""
        below = math.floor(quality)
        above, share = min(below + 1, len(self.weight) - 1), quality - below
        weight, bias = (torch.lerp(stored[[below]], stored[[above]], share) for stored in (self.weight, self.bias))
        return F.softplus(weight), bias

    def forward(self, x: Tensor, knobs: Knobs) -> Tensor:
        scale, shift = self.at(knobs.quality)
        return scale * x + shift


class ResidualUnit(nn.Module):
    """1x1 into a bottleneck, 3x3 inside it, 1x1 out of it, rectified between, plus the identity."""

    def __init__(self, channels: int, bottleneck: int) -> None:
        super().__init__()
        self.enter = nn.Conv2d(channels, bottleneck, 1)
        self.inside = nn.Conv2d(bottleneck, bottleneck, 3, padding=1)
        self.leave = nn.Conv2d(bottleneck, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.leave(F.relu(self.inside(F.relu(self.enter(x)))))


class RealismResidualUnit(ResidualUnit):
    """Residual unit to which beta adds a vector after each of its three steps."""

    def __init__(self, channels: int, bottleneck: int, realism_channels: int) -> None:
        super().__init__(channels, bottleneck)
        self.entered = nn.Conv2d(realism_channels, bottleneck, 1)
        self.within = nn.Conv2d(realism_channels, bottleneck, 1)
        self.left = nn.Conv2d(realism_channels, channels, 1)

    def forward(self, x: Tensor, knobs: Knobs) -> Tensor:  # type: ignore[override]
        features = F.relu(self.enter(x)) + self.entered(knobs.embedding)
        features = F.relu(self.inside(features)) + self.within(knobs.embedding)
        return x + self.leave(features) + self.left(knobs.embedding)


class AttentionBlock(nn.Module):
    """x + trunk(x) * sigmoid(mask(x)): the attention of ELIC, whose residual units do not rectify their sums.

    The public code of CRDR calls it NLAM; it has no non-local part.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.trunk = nn.Sequential(*(ResidualUnit(channels, channels // 2) for _ in range(UNITS_PER_BLOCK)))
        self.mask = nn.Sequential(
            *(ResidualUnit(channels, channels // 2) for _ in range(UNITS_PER_BLOCK)), nn.Conv2d(channels, channels, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.trunk(x) * torch.sigmoid(self.mask(x))


class RealismEmbedding(nn.Module):
    """beta to the vector that the residual units hear: sines and cosines of doubling frequency, then two layers.

    The lowest frequency has angles from -1 to 1, without a factor of pi: `use_pi: False` of the public configuration.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(2 * BETA_FREQUENCIES, channels), nn.ReLU(), nn.Linear(channels, channels))

    def forward(self, beta: float) -> Tensor:
        """(1, channels, 1, 1)"""
        frequencies = 2.0 ** torch.arange(BETA_FREQUENCIES, dtype=torch.float64)
        angles = (2 * beta / LARGEST_BETA - 1) * frequencies
        features = torch.cat([angles.sin(), angles.cos()]).to(self.layers[0].weight)
        return self.layers(features).reshape(1, -1, 1, 1)


class ChannelContext(nn.Module):
    """Three networks a slice, of convolutions and rectifiers only (Minnen and Singh 2020).

    `mean` and `scale` hear the features of their own hyper-synthesis and the supporting slices; `residual`, their
    latent residual prediction (`lrp` in the public code), which gives the rounding error before its tanh, hears what
    `mean` hears and the rounded slice itself.
    """

    def __init__(self, preset: Preset) -> None:
        super().__init__()
        self.supports = preset.supports
        width = preset.latent_channels // preset.slices
        heard = [preset.latent_channels + width * min(i, preset.supports) for i in range(preset.slices)]
        hidden = preset.context_channels
        self.mean = nn.ModuleList(_context_network(inputs, hidden, width) for inputs in heard)
        self.scale = nn.ModuleList(_context_network(inputs, hidden, width) for inputs in heard)
        self.residual = nn.ModuleList(_context_network(inputs + width, hidden, width) for inputs in heard)

    def walk(self, mean_features: Tensor, scale_features: Tensor) -> ContextWalk:
        """Start before the first slice. Both features are (B, M, H/16, W/16)."""
        return ContextWalk(self, mean_features, scale_features)


class ContextWalk:
    """The slices decoded so far, and what they say of the next: `predict`, then `append`, for each slice in turn."""

    def __init__(self, context: ChannelContext, mean_features: Tensor, scale_features: Tensor) -> None:
        self.context, self.mean_features, self.scale_features = context, mean_features, scale_features
        self.decoded: list[Tensor] = []

    def predict(self) -> tuple[Tensor, Tensor]:
        """Mean and unbounded scale of the next slice."""
        i = len(self.decoded)
        mean = self.context.mean[i](self._heard(self.mean_features))
        return mean, self.context.scale[i](self._heard(self.scale_features))

    def append(self, rounded: Tensor) -> Tensor:
        """Add the slice symbols + mean, corrected; returns the correction."""
        network = self.context.residual[len(self.decoded)]
        residual = 0.5 * torch.tanh(network(torch.cat([self._heard(self.mean_features), rounded], 1)))
        self.decoded.append(rounded + residual)
        return residual

    def _heard(self, features: Tensor) -> Tensor:
        return torch.cat([features, *self.decoded[: self.context.supports]], 1)


def _context_network(inputs: int, hidden: tuple[int, int], outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, hidden[0], 5, padding=2),
        nn.ReLU(),
        nn.Conv2d(hidden[0], hidden[1], 5, padding=2),
        nn.ReLU(),
        nn.Conv2d(hidden[1], outputs, 3, padding=1),
    )
