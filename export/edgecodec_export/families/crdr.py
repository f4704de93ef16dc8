"""CRDR: one codec for a range of rates, and of realism at each (Iwai, Miyazaki, Omachi, WACV 2024).

Transforms of residual units and attention (those of ELIC, He et al. 2022), a mean-scale hyperprior, and a context over
channel slices (Minnen and Singh 2020). Layers and widths are those of `config/crdr.yaml` in the public code
(iwa-shi/CRDR). Only its transforms are those of ELIC: its context is ten equal slices ("charm"), not ELIC's uneven
groups with a checkerboard. Two knobs:

    quality   real, 0 (smallest files) to levels - 1; acts in the analysis and in the synthesis
    beta      real, 0 (faithful) to 5.12 (realistic); acts in the synthesis only, so it is the receiver's choice

The entropy model depends on neither, so one serves every pair. Shapes, for an image of height H and width W whose
sides are multiples of `ALIGNMENT`:

    image (B, 3, H, W) in [0, 1]     latent y (B, M, H/16, W/16)     hyperlatent z (B, N, H/64, W/64)

z is coded as round(z - median). y is coded slice by slice of M / slices channels, as round(y - mean) with a Gaussian of
the predicted scale; mean and scale of a slice depend on z and the slices decoded before it. Convolutions are zero
padded.
"""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from edgecodec.container import QUALITY_STEPS, quantised
from edgecodec.description import Knobs, LatentSpec
from edgecodec.errors import InvalidArgument
from edgecodec.knobs import decimal
from edgecodec_export.baking import NOTHING, Asked, Baking, Decoder, Encoder, Knob, Point
from edgecodec_export.baking.affine import AffineMap, moved_to_front
from edgecodec_export.baking.baking import distinct
from edgecodec_export.baking.conditioning import fixed
from edgecodec_export.entropy.freezers.channel_slices import ChannelSlicesFreezer
from edgecodec_export.families.codec import NO_SIDE_INPUTS, DecoderInput, LearnedCodec, Rates, Reconstruction
from edgecodec_export.layers.channel_context import ChannelContext, ContextWalk, Slice
from edgecodec_export.layers.conditioning import (
    BETA_FREQUENCIES,
    LARGEST_BETA,
    Conditioning,
    InterpolatedChannelAttention,
    RealismEmbedding,
    RealismResidualUnit,
    Transform,
)
from edgecodec_export.layers.convolutions import Convolution, bias_of, down5, up5
from edgecodec_export.layers.densities import FactorizedDensity, gaussian_likelihood
from edgecodec_export.layers.fixed_point import LATENT_UNIT, fixed_point
from edgecodec_export.layers.gradients import add_uniform_noise, round_straight_through
from edgecodec_export.layers.initial_transform import ATTENTION, SPARE, layers_of, principal_blocks, zero_output
from edgecodec_export.layers.precision import at_least_float32, without_autocast
from edgecodec_export.layers.residual import UNITS_PER_BLOCK, AttentionBlock, ResidualUnit

QUALITY = Knob(
    "quality",
    "quality is chosen when a picture is encoded, 0 for the smallest files; files carry it.",
)
BETA = Knob(
    "beta",
    "beta 0 is the most faithful picture; larger values are more realistic. The receiver chooses.",
)
DEFAULT_BETAS = (0.0, 3.84)  # those of the paper's figures
WITHOUT_REALISM = "-multirate"  # ending of the names of presets without beta

# Initial transform.
LATENT_GAIN = 1.5  # of the middle rate, for pictures in [-1, 1]: near the best for a rounding step of 1
BLOCK = slice(2, 4)  # the taps of a 5x5 kernel that lie on the 2x2 block of a pixel at half the resolution


@dataclass(frozen=True)
class Preset:
    """Widths of one size of CRDR.

    analysis, synthesis: channels of the transform, and of the bottleneck inside its residual units.
    hyper_channels: width between the latent and the hyperlatent.
    slices: into which the latent's channels are divided evenly.
    supports: most earlier slices that a slice depends on; they are the first ones, not the latest.
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


class Crdr(LearnedCodec):
    """Both transforms, the hyperprior and the context at a preset's size.

    By default quality is 0 and beta is 0: the smallest files, decoded as faithfully as they can be. A codec without
    realism channels has no other beta. The public one, with the decoder `ElicInterpCaDecoder`, is what a codec with
    beta is trained from.
    """

    FAMILY = "crdr"
    PAPER = "CRDR (Iwai, Miyazaki, Omachi: Controlling Rate, Distortion, and Realism, 2024)"
    PRESETS: ClassVar = {
        "published": Preset((192, 96), (256, 128), 320, 192, 256, 10, 5, (224, 128), 5, 512),
        "published-multirate": Preset((192, 96), (256, 128), 320, 192, 256, 10, 5, (224, 128), 5, 0),
        "compact": Preset((64, 32), (64, 32), 96, 48, 64, 4, 2, (24, 16), 5, 64),
        "compact-multirate": Preset((64, 32), (64, 32), 96, 48, 64, 4, 2, (24, 16), 5, 0),
    }
    KNOBS: ClassVar[tuple[Knob, ...]] = (QUALITY, BETA)
    ALIGNMENT = 64
    DECODER_PREFIXES = ("synthesis.", "realism.")
    SPLITS_DOUBLINGS = True
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
        self.context = ChannelContext(m, preset.slices, preset.supports, preset.context_channels)

    def encoder_latents(self) -> tuple[LatentSpec, ...]:
        return LatentSpec("z", self.hyperlatent_channels, 64), LatentSpec("y", self.latent_channels, 16)

    def decoder_latents(self) -> tuple[LatentSpec, ...]:
        return (LatentSpec("y_hat", self.latent_channels, 16),)

    def encode(self, image: Tensor, quality: float = 0.0) -> tuple[Tensor, Tensor]:
        """Symbols of z, and y in units of LATENT_UNIT: the entropy coder rounds it, slice by slice.

        Raises InvalidArgument for a quality out of range.
        """
        y = self.analyse(image, quality)
        return self.hyperlatent_symbols(y), fixed_point(y)

    def decode(self, y_hat: Tensor, quality: float = 0.0, beta: float = 0.0) -> Tensor:
        """The picture of y_hat in units of LATENT_UNIT. Raises InvalidArgument for a knob out of range."""
        return self.synthesise(y_hat * LATENT_UNIT, quality, beta)

    def analyse(self, image: Tensor, quality: float) -> Tensor:
        """y of an image, not rounded."""
        y: Tensor = self.analysis(2 * image - 1, Conditioning(self.checked_quality(quality)))
        return y

    def synthesise(self, y_hat: Tensor, quality: float, beta: float) -> Tensor:
        """The image of y_hat, in about [0, 1]."""
        conditioning = Conditioning(self.checked_quality(quality), self.embedding(beta))
        picture: Tensor = self.synthesis(y_hat, conditioning)
        return (picture + 1) / 2

    def checked_quality(self, quality: float) -> float:
        """`quality` itself. Raises InvalidArgument outside 0 to levels - 1."""
        return self._checked("quality", quality)

    def checked_beta(self, beta: float) -> float:
        """`beta` itself. Raises InvalidArgument outside 0 to 5.12, or for any but 0 where there is no such knob."""
        return self._checked("beta", beta)

    def trained_knobs(self) -> Mapping[str, tuple[float, float]]:
        return {"quality": (0.0, self.levels - 1), "beta": (0.0, LARGEST_BETA if self.realism else 0.0)}

    def _checked(self, knob: str, value: float) -> float:
        low, high = self.trained_knobs()[knob]
        if not low <= value <= high:
            raise InvalidArgument(f"{knob} must be between {low:g} and {high:g}, not {value}")
        return value

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
        """Walk the slices as an encoder, which has y, or as a decoder, which has the symbols; both (B, M, H/16, W/16).

        With both, the symbols win: the encoder's walk along another's decisions. In floats, rounding half to even.
        """
        known = y if symbols is None else symbols
        if known is None:
            raise InvalidArgument("the slices need y or the symbols")
        walk = self.walk(z_symbols + self.medians)
        walked = []
        for part in known.chunk(self.slices, 1):
            mean, scale = walk.predict()
            chosen = torch.round(part - mean) if symbols is None else part
            residual = walk.append(chosen + mean)
            walked.append(Slice(chosen, mean, scale, residual, chosen + mean + residual))
        return walked

    def forward(self, image: Tensor, quality: float | None = None, beta: float = 0.0) -> Reconstruction:
        """Reconstruction from rounded latents; rates in training from latents with uniform noise, else rounded ones.

        One quality for the whole batch, the middle one where none is given. Rounding has a straight-through gradient on
        the way to the pixels and into the context of later slices (Minnen and Singh 2020).
        """
        if quality is None:
            quality = (self.levels - 1) / 2
        y = at_least_float32(self.analyse(image, quality))
        with without_autocast(y):  # but for the walk, whose networks are most of the model
            z = self.hyper_analysis(y)
            z_rounded = round_straight_through(z - self.medians) + self.medians
            coded = add_uniform_noise(z) if self.training else z_rounded
            hyperlatent_bits = -self.density.likelihood(coded).log2().sum()
            with torch.no_grad():
                rounded_bits = -self.density.likelihood(z_rounded).log2().sum()
        walk = self.walk(z_rounded)
        latent_bits = y.new_zeros(())
        for part in y.chunk(self.slices, 1):
            mean, scale = walk.predict()
            symbols = round_straight_through(part - mean)
            coded = add_uniform_noise(part - mean) if self.training else symbols
            latent_bits = latent_bits - gaussian_likelihood(coded, scale).log2().sum()
            with torch.no_grad():
                rounded_bits -= gaussian_likelihood(symbols, scale).log2().sum()
            walk.append(symbols + mean)
        rates = Rates(latent=latent_bits, hyperlatent=hyperlatent_bits)
        y_hat = torch.cat(walk.decoded, 1)
        return Reconstruction(self.synthesise(y_hat, quality, beta), rates, rounded_bits, y_hat)

    def walk(self, z: Tensor) -> ContextWalk:
        """Start before the first slice, for the rounded z (symbols plus medians)."""
        return self.context.walk(self.hyper_synthesis_mean(z), self.hyper_synthesis_scale(z))

    def baking(self, asked: Asked = NOTHING, mse: LearnedCodec | None = None) -> RateAndRealism:
        return RateAndRealism(self, asked, mse)

    def freezer(self) -> ChannelSlicesFreezer:
        return ChannelSlicesFreezer(self)

    def initialise(self, photographs: Tensor) -> None:
        """Start as a transform codec of every rate."""
        _write_transform(self, photographs)

    @classmethod
    def with_realism(cls, preset: str, tensors: Mapping[str, Tensor]) -> tuple[str, Mapping[str, Tensor]]:
        """A preset of many rates becomes the one with beta."""
        if not preset.endswith(WITHOUT_REALISM):
            return preset, tensors
        preset = preset.removesuffix(WITHOUT_REALISM)
        model = cls(cls.PRESETS[preset])
        _start_realism(model)
        return preset, model.state_dict() | dict(tensors)

    @torch.no_grad()
    def decoder_input(self, image: Tensor, knobs: Knobs, side: Mapping[str, Tensor] = NO_SIDE_INPUTS) -> DecoderInput:
        """y_hat in units of LATENT_UNIT at the quality of the knobs, and beside the picture as it is.

        The middle quality where none is given, as in `forward`.
        """
        knobs = {"quality": (self.levels - 1) / 2, **knobs}
        y = self.analyse(image, knobs["quality"])
        y_hat = torch.cat([part.y_hat for part in self.slices_of(self.hyperlatent_symbols(y), y)], 1)
        return DecoderInput((fixed_point(y_hat),), y_hat, knobs)


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


class RateAndRealism(Baking):
    """quality in encoder and decoder; beta, where the model has it, in the decoder."""

    model: Crdr

    def __init__(self, model: Crdr, asked: Asked = NOTHING, mse: LearnedCodec | None = None) -> None:
        """quality is rounded as files hold it. Raises InvalidArgument for values out of range."""
        super().__init__(model, asked, mse)
        qualities = asked.get("quality", range(model.levels))
        self.qualities = distinct(quantised(model.checked_quality(quality)) for quality in qualities)
        self.betas = distinct(model.checked_beta(beta) for beta in asked.get("beta", DEFAULT_BETAS) if model.realism)

    def baked_knobs(self) -> tuple[str, ...]:
        return super().baked_knobs() if self.model.realism else (QUALITY.name,)

    def notes(self) -> list[str]:
        return [
            f"quality {decimal(quality)} becomes {decimal(quantised(quality))}: files hold it in 1/{QUALITY_STEPS}"
            for quality in distinct(self.asked.get("quality", ()))
            if quality != quantised(quality)
        ]

    def encoder_knobs(self) -> list[Knobs]:
        return [{"quality": quality} for quality in self.qualities]

    def decoder_knobs(self) -> list[Knobs]:
        betas: list[Knobs] = [{"beta": beta} for beta in self.betas] or [{}]
        return [{"quality": quality, **beta} for quality in self.qualities for beta in betas]

    def default_knobs(self) -> Knobs:
        """The point nearest to the middle rate and to the realism of the paper's figures."""
        middle, realistic = (self.model.levels - 1) / 2, max(DEFAULT_BETAS)
        return min(
            self.decoder_knobs(),
            key=lambda knobs: (abs(knobs["quality"] - middle), abs(knobs.get("beta", 0.0) - realistic)),
        )

    def settings(self) -> list[Knobs]:
        """All trained qualities, whichever are baked: the entropy model is that of the checkpoint."""
        return [{"quality": float(level)} for level in range(self.model.levels)]

    def baked_encoder(self, knobs: Knobs) -> Point:
        return Point(knobs, bake_encoder(self.model, knobs["quality"]), Encoder(self.model, knobs))

    def baked_decoder(self, knobs: Knobs) -> Point:
        baked = bake_decoder(self.model, knobs["quality"], knobs.get("beta", 0.0))
        return Point(knobs, baked, Decoder(self.model, knobs))


@torch.no_grad()
def bake_encoder(model: Crdr, quality: float) -> BakedEncoder:
    """`model.encode` at a fixed `quality`. Raises InvalidArgument for a quality out of range."""
    return BakedEncoder(model, quality).eval().requires_grad_(False)


@torch.no_grad()
def bake_decoder(model: Crdr, quality: float, beta: float) -> BakedDecoder:
    """`model.decode` at `quality` and `beta`. Raises InvalidArgument for a knob out of range."""
    return BakedDecoder(model, quality, beta).eval().requires_grad_(False)


class BakedEncoder(nn.Module):
    """Image (B, 3, H, W) in [0, 1] to the symbols of z and the fixed-point y, as `Crdr.encode`."""

    medians: Tensor

    def __init__(self, model: Crdr, quality: float) -> None:
        super().__init__()
        _, layers = moved_to_front(fixed(model.analysis, Conditioning(model.checked_quality(quality))))
        self.analysis = nn.Sequential(*layers).to(model.density.quantiles.dtype)
        self.hyper_analysis = copy.deepcopy(model.hyper_analysis)
        self.register_buffer("medians", model.medians.clone())

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        y: Tensor = self.analysis(2 * image - 1)
        return torch.round(self.hyper_analysis(y) - self.medians), fixed_point(y)


class BakedDecoder(nn.Module):
    """y_hat in units of LATENT_UNIT to the image, as `Crdr.decode`.

    The one affine map that remains in front also holds that unit; the last convolution also maps [-1, 1] to [0, 1].
    """

    def __init__(self, model: Crdr, quality: float, beta: float) -> None:
        super().__init__()
        conditioning = Conditioning(model.checked_quality(quality), model.embedding(beta))
        unit, to_picture = AffineMap.uniform(LATENT_UNIT, 0.0), AffineMap.uniform(0.5, 0.5)
        remaining, baked = moved_to_front([unit, *fixed(model.synthesis, conditioning), to_picture])
        self.layers = nn.Sequential(remaining, *baked).to(model.density.quantiles.dtype)

    def forward(self, y_hat: Tensor) -> Tensor:
        picture: Tensor = self.layers(y_hat)
        return picture


@torch.no_grad()
def _write_transform(model: Crdr, photographs: Tensor) -> None:
    """Write a hierarchical Karhunen-Loeve transform, measured on photographs (n, 3, H, W) in [0, 1], into the weights.

    From a random start the latents round to zero for thousands of steps. CRDR makes a better one easy: but for its
    residual units and attention, which can start as an identity and as a constant factor, its transforms are linear.
    Each stage starts as the best linear map of 2x2 blocks of the stage before it, and each doubling as the transpose.
    Channel attention next to the latent starts as the gain of each rate.
    """
    for module in model.modules():
        if isinstance(module, ResidualUnit):
            zero_output(module.leave)
            if isinstance(module, RealismResidualUnit):
                zero_output(module.left)
        elif isinstance(module, AttentionBlock):
            zero_output(module.projection)

    downs, ups = layers_of(nn.Conv2d, model.analysis), layers_of(nn.ConvTranspose2d, model.synthesis)
    features = 2 * photographs - 1
    for down, up in zip(downs, reversed(ups), strict=True):
        basis = principal_blocks(features, down.out_channels)
        features = nn.functional.conv2d(features, basis, stride=2)
        _set_block(down, basis)
        _set_block(up, basis)
    for after_attention in (downs[2], ups[0], ups[2]):
        after_attention.weight /= ATTENTION
    *_, before_latent = layers_of(InterpolatedChannelAttention, model.analysis)
    behind_latent, *_ = layers_of(InterpolatedChannelAttention, model.synthesis)
    for level, ratio in enumerate(model.DISTORTION_RATIOS):
        gain = LATENT_GAIN * ratio**0.5
        _set_gain(before_latent, level, gain / ATTENTION)
        _set_gain(behind_latent, level, 1 / gain)

    y = model.analyse(photographs, (model.levels - 1) / 2)
    for i, part in enumerate(y.chunk(model.slices, 1)):
        *_, mean = layers_of(nn.Conv2d, model.context.network("mean", i))
        *_, scale = layers_of(nn.Conv2d, model.context.network("scale", i))
        bias_of(mean).copy_(part.mean((0, 2, 3)))
        bias_of(scale).copy_(part.std((0, 2, 3)))


@torch.no_grad()
def _start_realism(model: Crdr) -> None:
    """Let every beta give the same picture as beta 0.

    The embedding starts as a curve from zero, at beta 0, to length 1 at the other end, so training at other betas does
    not change beta 0. Neighbours learn alike, because the weights of a frequency are the smaller the higher it is.
    """
    assert model.realism is not None
    for module in model.modules():
        if isinstance(module, RealismResidualUnit):
            for projection in (module.entered, module.within, module.left):
                zero_output(projection)
    enter, leave = layers_of(nn.Linear, model.realism.layers)
    slower = 0.25 ** torch.arange(BETA_FREQUENCIES)
    enter.weight.mul_(torch.cat([slower, slower]))  # sines, then cosines
    leave.bias.sub_(model.realism(0.0).flatten())
    size = model.realism(LARGEST_BETA).norm()
    leave.weight.div_(size)
    leave.bias.div_(size)


def _set_block(convolution: Convolution, basis: Tensor) -> None:
    """The block filters (k, c, 2, 2) in the layer's first channels; all others start random and small."""
    rows, columns = basis.shape[:2]
    convolution.weight *= SPARE
    convolution.weight[:rows, :columns] = 0
    convolution.weight[:rows, :columns, BLOCK, BLOCK] = basis
    bias_of(convolution).zero_()


def _set_gain(attention: InterpolatedChannelAttention, level: int, gain: float) -> None:
    attention.weight[level] = torch.tensor(gain).expm1().log()  # softplus undoes this
