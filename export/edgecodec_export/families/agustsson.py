"""Generative compression at extreme rates (Agustsson, Tschannen, Mentzer, Timofte, Van Gool 2019, appendix).

Two modes of one pair of networks, in the notation of pix2pixHD. c7s1-k: 7x7 convolution, reflected border, instance
norm, ReLU. dk: 3x3 at stride 2. uk: 3x3 transposed at stride 2. Rk: residual block of two 3x3 with reflected borders.

    GC   image -> c7s1-60 d120 d240 d480 d960, 3x3 to C -> nearest of -2..2 -> symbols (B, C, H/16, W/16)
         symbols -> generator: c3s1-960, R960 x 9, u480 u240 u120 u60, 7x7 to 3, tanh -> image
    SC   image -> c7s1-60 d120 d240 d480, 3x3 to C -> nearest of -2..2 -> symbols (B, C, H/8, W/8), 0 where not kept
         symbols -> c3s1-480 d960, and label map -> c7s1-60 d120 d240 d480 d960, both -> the same generator -> image

In GC(D+) only the discriminator takes a label map, so its codec is GC. SC codes the label map and the region mask
beside the symbols; where the mask is 0 the symbols are 0 and the generator synthesises from the labels alone.

Not tileable: instance norm uses the statistics of the whole picture, so no tile and no other resolution gives the same
picture. Sides are multiples of 16, and 32 or more, because the smallest maps have reflected borders.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgecodec.description import Knobs, LatentSpec
from edgecodec.noise import ONE as NOISE_ONE
from edgecodec_export.entropy.freezers.finite_alphabet import FiniteAlphabetFreezer
from edgecodec_export.families.codec import NO_SIDE_INPUTS, DecoderInput, LearnedCodec, Rates, Reconstruction
from edgecodec_export.layers.convolutions import Convolution, bias_of
from edgecodec_export.layers.finite_alphabet import nearest_level, soft_to_hard, static_code_bits
from edgecodec_export.layers.initial_transform import INVERSE_TANH, at_centre, layers_of, principal_blocks, set_pairs

LOWEST, LEVELS = -2, 5  # the quantisation centres -2..2 (section 3.2)
GENERATOR_STRIDE = 16
GRAIN_CHANNELS = (64, 256)  # of stride 16 that a plane at stride 2 and one at stride 1 are made of
WITH_GRAIN = "-grain"  # behind the name of a preset

# Initial transform.
DOUBLED = 2  # components with two channels each
REACH = 1.6  # standard deviations of a component that the outermost symbols stand for


@dataclass(frozen=True)
class Preset:
    """Size of the networks, and the conventions in which origins differ.

    mode: generative compression, or selective compression with label maps.
    latent_channels: C, the one knob of the rate: at most C * log2(5) / 256 bits per pixel in GC.
    widths: channels from stride 1 to stride 16; the generator mirrors them.
    classes: SC only, the number of values of a label. Those of the named presets stand for any: training takes the
        number of its scenes, and weights tell theirs.
    noise_channels: normal noise that the generator takes beside the symbols, stride 16.
    grain: whether the generator also takes a plane of normal noise at each of the last two doublings, at the doubling's
        output stride and before the doubling's ReLU, times a gain that each channel learns (as in Karras, Laine, Aila:
        A Style-Based Generator Architecture, 2019, section 2). The ReLU lets it through where there is texture. Symbols
        alone, 16 pixels apart, repeat as patterns do. Noise at earlier doublings came out as blobs.
    instance_norm: where it is. "everywhere" is the paper. The stem's then removes the mean of every colour and the
        picture's contrast, so that the symbols hold neither and the generator has to guess. "residual_blocks" leaves it
        out behind all other convolutions, which preserves both.
    projection_norm: whether instance norm and ReLU follow the projection to C channels. The symbols are then 0..2.
    zero_border: where a stride-2 convolution has its row and column of zeros, and a transposed one drops those that are
        too many. "leading": above and left, which is torch's padding of 1. "trailing": below and right, which is
        TensorFlow's SAME. The same weights give maps shifted by one pixel.
    epsilon: added to the variance in instance norm, which is the biased one in every origin.
    """

    mode: Literal["GC", "SC"]
    latent_channels: int
    widths: tuple[int, int, int, int, int] = (60, 120, 240, 480, 960)
    residual_blocks: int = 9
    classes: int = 0
    noise_channels: int = 0
    grain: bool = False
    instance_norm: Literal["everywhere", "residual_blocks"] = "everywhere"
    projection_norm: bool = False
    zero_border: Literal["leading", "trailing"] = "leading"
    epsilon: float = 1e-5


class Agustsson(LearnedCodec):
    """GC or SC, as the preset says."""

    FAMILY = "agustsson"
    PAPER = (
        "generative compression (Agustsson, Tschannen, Mentzer, Timofte, Van Gool: Generative Adversarial "
        "Networks for Extreme Learned Image Compression, 2019)"
    )
    PRESETS: ClassVar = {
        "published": Preset("GC", 8),
        "published-sc": Preset("SC", 8, classes=12),
        "compact": Preset("GC", 8, (24, 48, 96, 128, 144), 5, instance_norm="residual_blocks"),
        "compact-grain": Preset("GC", 8, (24, 48, 96, 128, 144), 5, instance_norm="residual_blocks", grain=True),
        "compact-sc": Preset("SC", 8, (24, 48, 96, 128, 144), 3, classes=12, instance_norm="residual_blocks"),
    }
    ALIGNMENT = GENERATOR_STRIDE
    SMALLEST_SIDE = 2 * GENERATOR_STRIDE
    DECODER_PREFIXES = ("synthesis.",)

    def __init__(self, preset: Preset) -> None:
        super().__init__(preset)
        selective = preset.mode == "SC"
        widths = preset.widths[:-1] if selective else preset.widths
        self.latent_stride = GENERATOR_STRIDE // 2 if selective else GENERATOR_STRIDE
        self.analysis = nn.Sequential(_features(3, widths, preset), _projection(widths[-1], preset))
        self.synthesis: SelectiveSynthesis | Generator = (
            SelectiveSynthesis(preset) if selective else Generator(preset.latent_channels, preset)
        )

    def encoder_latents(self) -> tuple[LatentSpec, ...]:
        return (LatentSpec("symbols", self.preset.latent_channels, self.latent_stride),)

    def side_latents(self) -> tuple[LatentSpec, ...]:
        """Empty in GC. labels: class of every pixel, from 0 to classes - 1. mask: 1 where symbols are kept, else 0."""
        if self.preset.mode == "GC":
            return ()
        return LatentSpec("labels", 1, 1), LatentSpec("mask", 1, self.latent_stride)

    def classes(self) -> int:
        return self.preset.classes

    @classmethod
    def classes_of(cls, tensors: Mapping[str, Tensor]) -> int:
        weight = tensors.get("synthesis.label_analysis.0.convolution.weight")  # (width, classes, 7, 7)
        return 0 if weight is None or weight.ndim != 4 else weight.shape[1]

    @classmethod
    def preset_with_classes(cls, preset: Preset, classes: int) -> Preset:
        return replace(preset, classes=classes) if preset.mode == "SC" else preset

    def decoder_latents(self) -> tuple[LatentSpec, ...]:
        """labels, in SC only, and symbols."""
        return (*(latent for latent in self.side_latents() if latent.name == "labels"), *self.encoder_latents())

    def noise(self) -> LatentSpec | None:
        channels = self.preset.noise_channels + (sum(GRAIN_CHANNELS) if self.preset.grain else 0)
        return LatentSpec("noise", channels, GENERATOR_STRIDE) if channels else None

    def encode(self, image: Tensor, mask: Tensor | None = None) -> tuple[Tensor, ...]:
        """symbols (B, C, h, w) in -2..2, 0 where `mask` (B, 1, h, w) is 0."""
        symbols = nearest_level(self.analysis(2 * image - 1), LOWEST, LEVELS)
        return (symbols if mask is None else symbols * mask,)

    def decode(self, *latents: Tensor) -> Tensor:
        """The picture of `decoder_latents` and `noise`, in that order. ValueError for more or fewer tensors."""
        names = [latent.name for latent in (*self.decoder_latents(), self.noise()) if latent]
        return (torch.tanh(self.synthesis(**dict(zip(names, latents, strict=True)))) + 1) / 2

    def forward(
        self, image: Tensor, labels: Tensor | None = None, mask: Tensor | None = None, noise: Tensor | None = None
    ) -> Reconstruction:
        """Training pass: hard symbols with the gradient of their soft assignment.

        labels: SC only. mask: everything is kept without one. noise: in units of 1/4096.
        The paper bounds the rate by C and trains without a rate term; `Rates.latent` is that of a static code per
        channel for the kept symbols.
        """
        symbols, assignment = soft_to_hard(self.analysis(2 * image - 1), LOWEST, LEVELS)
        kept = torch.ones_like(symbols[:, :1]) if mask is None else mask
        kept_symbols = symbols * kept
        inputs = [each for each in (labels, kept_symbols, noise) if each is not None]
        bits = static_code_bits(assignment, kept)
        return Reconstruction(self.decode(*inputs), Rates(bits, bits.new_zeros(())), bits.detach(), kept_symbols)

    @classmethod
    def with_realism(cls, preset: str, tensors: Mapping[str, Tensor]) -> tuple[str, Mapping[str, Tensor]]:
        """A preset becomes the one with grain where there is one. Gains are drawn."""
        grained = f"{preset}{WITH_GRAIN}"
        if grained not in cls.PRESETS:
            return preset, tensors
        return grained, cls(cls.PRESETS[grained]).state_dict() | dict(tensors)

    @torch.no_grad()
    def decoder_input(self, image: Tensor, knobs: Knobs, side: Mapping[str, Tensor] = NO_SIDE_INPUTS) -> DecoderInput:
        """The symbols, 0 where the mask is. side: labels and mask in SC; noise where the preset has it."""
        (symbols,) = self.encode(image, side.get("mask"))
        named = {**side, "symbols": symbols}
        inputs = [latent.name for latent in (*self.decoder_latents(), self.noise()) if latent]
        return DecoderInput(tuple(named[name] for name in inputs), symbols, {})

    def freezer(self) -> FiniteAlphabetFreezer:
        return FiniteAlphabetFreezer(self, LOWEST, LEVELS)

    def initialise(self, photographs: Tensor) -> None:
        """Start as a transform codec, except with instance norm everywhere, which removes most of that transform."""
        if self.preset.instance_norm == "residual_blocks":
            _write_transform(self, photographs)


class InstanceNorm(nn.Module):
    """Normalise every channel over the whole map: biased variance, affine. Not tileable.

    Spelled out and in float32 whatever the input is, because engines that fuse it into half precision lose the
    variance of large maps.
    """

    def __init__(self, channels: int, epsilon: float) -> None:
        super().__init__()
        self.epsilon = epsilon
        self.gamma = nn.Parameter(torch.ones(1, channels, 1, 1))
        self.beta = nn.Parameter(torch.zeros(1, channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        centred = x.float()
        # Twice, because the first mean of a constant map, such as that of one label, is off by a rounding. Engines
        # round differently, and 1 / sqrt(epsilon) magnifies the difference, again in every layer.
        for _ in range(2):
            centred = centred - centred.mean((2, 3), keepdim=True)
        variance = (centred * centred).mean((2, 3), keepdim=True)
        return (centred / torch.sqrt(variance + self.epsilon) * self.gamma + self.beta).to(x.dtype)


class Rectified(nn.Module):
    """A convolution, ReLU. grain: added before the ReLU."""

    def __init__(self, convolution: Convolution) -> None:
        super().__init__()
        self.convolution = convolution

    def forward(self, x: Tensor, grain: Tensor | None = None) -> Tensor:
        x = self.linear(x)
        return torch.relu(x if grain is None else x + grain)

    def linear(self, x: Tensor) -> Tensor:
        """What comes before the ReLU."""
        convolved: Tensor = self.convolution(x)
        return convolved


class Normalised(Rectified):
    """A convolution, instance norm, ReLU."""

    def __init__(self, convolution: Convolution, epsilon: float) -> None:
        super().__init__(convolution)
        self.norm = InstanceNorm(convolution.out_channels, epsilon)

    def linear(self, x: Tensor) -> Tensor:
        normalised: Tensor = self.norm(self.convolution(x))
        return normalised


class Halving(nn.Conv2d):
    """3x3 at stride 2 for even sides, with one row and one column of zeros."""

    def __init__(self, inputs: int, outputs: int, preset: Preset) -> None:
        self.trailing = preset.zero_border == "trailing"
        super().__init__(inputs, outputs, 3, stride=2, padding=0 if self.trailing else 1)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(F.pad(x, (0, 1, 0, 1)) if self.trailing else x)


class Doubling(nn.ConvTranspose2d):
    """3x3 transposed at stride 2, with one row and one column of its output cropped."""

    def __init__(self, inputs: int, outputs: int, preset: Preset) -> None:
        self.trailing = preset.zero_border == "trailing"
        cropped = 0 if self.trailing else 1
        super().__init__(inputs, outputs, 3, stride=2, padding=cropped, output_padding=cropped)

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]
        doubled = super().forward(x)
        return doubled[:, :, :-1, :-1] if self.trailing else doubled


class ResidualBlock(nn.Module):
    """3x3, instance norm, ReLU, 3x3, instance norm, plus the identity."""

    def __init__(self, channels: int, epsilon: float) -> None:
        super().__init__()
        self.first = Normalised(_reflected(channels, channels, 3), epsilon)
        self.second = _reflected(channels, channels, 3)
        self.norm = InstanceNorm(channels, epsilon)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.norm(self.second(self.first(x)))


class Grain(nn.Module):
    """A plane of noise (B, 4^k, h, w) as what each channel of (B, channels, 2^k h, 2^k w) takes of it."""

    START = 0.05  # standard deviation of gains; it costs the small GC 0.7 dB before the first step

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(self.START * torch.randn(1, channels, 1, 1))

    def forward(self, noise: Tensor) -> Tensor:
        return self.gain * F.pixel_shuffle(noise, math.isqrt(noise.shape[1]))


class Generator(nn.Module):
    """(B, inputs, h, w), and the noise (B, n, h, w) of the preset if any, to (B, 3, 16h, 16w) before the tanh."""

    def __init__(self, inputs: int, preset: Preset) -> None:
        super().__init__()
        widths = preset.widths[::-1]
        self.noise_channels = preset.noise_channels
        self.head = _rectified(_reflected(inputs + preset.noise_channels, widths[0], 3), preset)
        self.residual_blocks = nn.Sequential(
            *(ResidualBlock(widths[0], preset.epsilon) for _ in range(preset.residual_blocks))
        )
        self.doublings = nn.Sequential(*(_rectified(Doubling(*pair, preset), preset) for pair in pairwise(widths)))
        grained = widths[-len(GRAIN_CHANNELS) :] if preset.grain else ()
        self.grains = nn.ModuleList(Grain(width) for width in grained)
        self.image = _reflected(widths[-1], 3, 7)

    def forward(self, symbols: Tensor, noise: Tensor | None = None) -> Tensor:
        x, grains = symbols, [None] * len(self.doublings)
        if noise is not None:
            noise = noise / NOISE_ONE
            if self.noise_channels:
                x = torch.cat((x, noise[:, : self.noise_channels]), 1)
            if self.grains:
                planes = noise[:, self.noise_channels :].split(GRAIN_CHANNELS, 1)
                grains[-len(planes) :] = [grain(plane) for grain, plane in zip(self.grains, planes, strict=True)]
        x = self.residual_blocks(self.head(x))
        for doubling, grain in zip(self.doublings, grains, strict=True):
            x = doubling(x, grain)
        return self.image(x)


class SelectiveSynthesis(nn.Module):
    """Labels (B, 1, H, W) and symbols (B, C, H/8, W/8) to (B, 3, H, W) before the tanh."""

    def __init__(self, preset: Preset) -> None:
        super().__init__()
        penultimate, last = preset.widths[-2:]
        self.expansion = nn.Sequential(
            _rectified(_reflected(preset.latent_channels, penultimate, 3), preset),
            _rectified(Halving(penultimate, last, preset), preset),
        )
        self.classes = preset.classes
        self.label_analysis = _features(preset.classes, preset.widths, preset)
        self.generator = Generator(2 * last, preset)

    def forward(self, labels: Tensor, symbols: Tensor, noise: Tensor | None = None) -> Tensor:
        classes = torch.arange(self.classes, dtype=labels.dtype, device=labels.device).reshape(1, -1, 1, 1)
        one_hot = (labels == classes).to(symbols.dtype)
        both = torch.cat((self.expansion(symbols), self.label_analysis(one_hot)), 1)
        return self.generator(both, noise)


def _reflected(inputs: int, outputs: int, size: int) -> nn.Conv2d:
    """Convolution that keeps the map's size, with a mirrored border."""
    return nn.Conv2d(inputs, outputs, size, padding=size // 2, padding_mode="reflect")


def _features(inputs: int, widths: Sequence[int], preset: Preset) -> nn.Sequential:
    """7x7 stem at full size, then one halving per further width."""
    stem = _rectified(_reflected(inputs, widths[0], 7), preset)
    return nn.Sequential(stem, *(_rectified(Halving(*pair, preset), preset) for pair in pairwise(widths)))


def _projection(inputs: int, preset: Preset) -> nn.Module:
    convolution = _reflected(inputs, preset.latent_channels, 3)
    return Normalised(convolution, preset.epsilon) if preset.projection_norm else convolution


def _rectified(convolution: Convolution, preset: Preset) -> Rectified:
    """With instance norm in between where the preset has it everywhere."""
    return Normalised(convolution, preset.epsilon) if preset.instance_norm == "everywhere" else Rectified(convolution)


@torch.no_grad()
def _write_transform(model: Agustsson, photographs: Tensor) -> None:
    """Write a hierarchical Karhunen-Loeve transform, measured on photographs (n, 3, H, W) in [0, 1], into the weights.

    From a random start the symbols carry hardly any information for thousands of steps. Here every stage starts linear:
    channels come in pairs (v, -v), whose rectified difference is v again; each halving is the best linear map of 2x2
    blocks of the stage before it, each doubling the transpose. Residual blocks start as identities, the label branch as
    random.
    Five levels are few for the two strongest components, brightness and one of colour: each has two channels, whose
    thresholds interleave. With one, all colours but strong ones start grey.
    """
    for module in model.modules():
        if isinstance(module, ResidualBlock):
            module.norm.gamma.zero_()
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
            bias_of(module).zero_()

    stem, *halvings = layers_of(Rectified, model.analysis[0])
    (projection,) = layers_of(nn.Conv2d, model.analysis)
    features = 2 * photographs - 1
    bases: list[Tensor] = []
    set_pairs(stem.convolution.weight, at_centre(torch.eye(3)), paired_input=False)
    for halving in halvings:
        features = _halve(halving.convolution, features, bases)

    channels = torch.arange(model.preset.latent_channels)
    component = torch.cat((torch.arange(DOUBLED).repeat_interleave(2), channels[DOUBLED:-DOUBLED]))
    gain = (-LOWEST / (REACH * features.std((0, 2, 3))))[component]
    coded = torch.zeros(len(channels), int(component[-1]) + 1)
    coded[channels, component] = gain
    set_pairs(projection.weight, at_centre(coded), paired_output=False)
    bias_of(projection)[: 2 * DOUBLED] = torch.tensor([-0.25, 0.25]).repeat(DOUBLED)
    decoded = torch.zeros_like(coded.T)
    decoded[component, channels] = 1 / (gain * component.bincount()[component])

    generator = model.synthesis
    if isinstance(generator, SelectiveSynthesis):
        narrow, halving = layers_of(Rectified, generator.expansion)
        set_pairs(narrow.convolution.weight, at_centre(decoded), paired_input=False)
        features = _halve(halving.convolution, features[:, : len(decoded)], bases)
        # Without norms, PyTorch's own start would leave hardly any of the labels' signal behind six layers.
        for layer in (*layers_of(Rectified, generator.label_analysis), generator.generator.head):
            nn.init.kaiming_normal_(layer.convolution.weight)
        generator = generator.generator
        head = generator.head.convolution.weight
        set_pairs(head[:, : halving.convolution.out_channels], at_centre(torch.eye(features.shape[1])))
    else:
        set_pairs(generator.head.convolution.weight, at_centre(decoded), paired_input=False)
    for doubling, basis in zip(layers_of(Rectified, generator.doublings), reversed(bases), strict=True):
        set_pairs(doubling.convolution.weight, basis)
    set_pairs(generator.image.weight, at_centre(INVERSE_TANH * torch.eye(3)), paired_output=False)


def _halve(convolution: Convolution, features: Tensor, bases: list[Tensor]) -> Tensor:
    """The principal components of 2x2 blocks of `features`, which `convolution` gives from now on."""
    basis = principal_blocks(features, convolution.out_channels // 2)
    bases.append(basis)
    set_pairs(convolution.weight, basis)
    return nn.functional.conv2d(features, basis, stride=2)
