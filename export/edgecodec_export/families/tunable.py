"""Tunable generative compression with an importance map (Wu, Huang, Shen 2020).

    image -> three-scale pyramid encoder -> omega (B, 16, H/8, W/8) -> nearest of 0..3 -> q
    omega, n -> masker -> how many of the first channels each position keeps, 1 to 16 -> mask
    symbols = mask * q, the only thing that is coded -> decoder -> image

One encoder serves every rate: n in [-2, 2] is its scalar input, and larger n keeps fewer channels. The decoder takes
neither n nor the mask; a masked entry is 0, which is centre 0 too.

The paper's model was never released. Its text gives the pyramid's weights (1/2, 1/4, 1/4), "two convolutions" to omega
with K = 16, the masker's two residual blocks, its one-filter convolution and the rule of the mask, and the decoder as
three convolutions, fifteen residual blocks of 256 and three transposed convolutions. From the codec that its first
author has published (LirongWu/A-Framework-for-Image-Compression, `model.py`), which is that network in small, come the
centres, batch norm (epsilon 1e-4) and ReLU in every layer, no ReLU after a residual block's sum, the kernels of the
stages, the mirrored borders and the range [-1, 1]. That code normalises by statistics of the batch even when it codes;
here they are stored. What both leave open is chosen here:

* pyramid: the picture and its 2x2 averages at 1/2 and 1/4. The branch at full size is 5x5 at stride 2, residual block,
  4x4 at stride 2, residual block, 4x4 at stride 2, three residual blocks; the branch at 1/2^k leaves out the first k of
  these stages, and its first convolution, on RGB, is the 5x5. So every branch ends at H/8 with the same width.
* two convolutions: 3x3 to half that width and 3x3 to 16, mirroring the decoder's first two. omega is behind a ReLU, so
  it starts at the lowest centre.
* masker: enters by a 3x3 from 16 channels to its residual blocks' width; the last 3x3 has neither norm nor ReLU.
* statistics of the masker's map: over the whole map of one picture, biased. The picture's padding is below one
  position, so every position holds some of the picture. Not tileable on the encoder's side; tileable on the decoder's.
* borders: zeros but in residual blocks and in the last convolution to RGB.

Sides are multiples of 8, and 16 or more.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgecodec.description import Knobs, LatentSpec
from edgecodec_export.baking import NOTHING, Asked, Baking, Decoder, Encoder, Knob, Point, Range
from edgecodec_export.baking.batch_norm import fold_batch_norm
from edgecodec_export.entropy.freezers.masked_prefix import MaskedPrefixFreezer
from edgecodec_export.families.codec import NO_SIDE_INPUTS, DecoderInput, LearnedCodec, Rates, Reconstruction
from edgecodec_export.layers.convolutions import Convolution, bias_of
from edgecodec_export.layers.finite_alphabet import nearest_level, soft_to_hard, static_code_bits
from edgecodec_export.layers.initial_transform import SPARE, at_centre, layers_of, principal_blocks, set_pairs

LOWEST, LEVELS = 0, 4  # the quantisation centres 0..3
STRIDE = 8
SMALLEST_N, LARGEST_N = -2.0, 2.0
RATE = Knob(
    "n",
    "n is chosen when a picture is encoded; larger values give smaller files.",
    Range(SMALLEST_N, LARGEST_N, 0.0),
)

# Initial transform.
FINE = 3  # channels of the strongest component
AREA = 4  # positions on a side of an area
REACH = 3.2  # standard deviations of another component that the highest symbol stands for
# Standard deviation of the importance map over a picture. n is subtracted from the map before it is divided by that, so
# for n in [-2, 2] positions keep from nearly all channels to one or two.
SPREAD = 0.8
RANKS = torch.tensor([0.0, 0.2, 0.4, 0.6, 0.8, 0.95])
# The inverse of tanh in lines: from which value on, and by how much the slope grows there.
BENDS = (0.0, 0.6, 0.85)
SLOPES = (1.155, 1.1, 4.7)


@dataclass(frozen=True)
class Preset:
    """Size of the networks.

    widths: channels of the encoder's three stages, at strides 2, 4 and 8; the decoder mirrors them.
    latent_channels: K.
    encoder_blocks: residual blocks at the end of each branch. decoder_blocks, masker_blocks: those of the others.
    """

    widths: tuple[int, int, int] = (64, 128, 256)
    latent_channels: int = 16
    encoder_blocks: int = 3
    masker_blocks: int = 2
    decoder_blocks: int = 15


class Tunable(LearnedCodec):
    """Encoder, masker and decoder."""

    FAMILY = "tunable"
    PAPER = (
        "the tunable codec with an importance map (Wu, Huang, Shen: A GAN-based Tunable Image Compression System, 2020)"
    )
    PRESETS: ClassVar = {
        "published": Preset(),
        "compact": Preset((24, 48, 96), encoder_blocks=1, decoder_blocks=6),
    }
    KNOBS: ClassVar[tuple[Knob, ...]] = (RATE,)
    ALIGNMENT = STRIDE
    SMALLEST_SIDE = 2 * STRIDE
    HAS_TRUNK = False
    DECODER_PREFIXES = ("synthesis.",)

    def __init__(self, preset: Preset) -> None:
        super().__init__(preset)
        self.analysis = Pyramid(preset)
        self.masker = Masker(preset)
        self.synthesis = _synthesis(preset)

    def encoder_latents(self) -> tuple[LatentSpec, ...]:
        return (LatentSpec("symbols", self.preset.latent_channels, STRIDE),)

    def encode(self, image: Tensor, n: Tensor | float = 0.0) -> tuple[Tensor, ...]:
        """symbols (B, 16, H/8, W/8) in 0..3, 0 where masked. n: scalar in [-2, 2]."""
        omega = self.analysis(2 * image - 1)
        return (nearest_level(omega, LOWEST, LEVELS) * self.masker(omega, n),)

    def decode(self, symbols: Tensor) -> Tensor:
        return (torch.tanh(self.synthesis(symbols)) + 1) / 2

    def forward(self, image: Tensor, n: Tensor | float = 0.0) -> Reconstruction:
        """Training pass at `n`.

        Symbols are hard with the gradient of their soft assignment, and so is the rate. The paper's loss has no rate;
        `Rates.latent` is that of a static code per channel for the kept symbols. The mask has no gradient: the map
        would first learn to spread until n does nothing, since the error is least on average where every n keeps
        equally many channels.
        """
        # The nearest centre is the same as behind the ReLU, but channels below 0 get a gradient that can revive them.
        y = self.analysis.unrectified(2 * image - 1)
        q, soft = soft_to_hard(y, LOWEST, LEVELS)
        hard = F.one_hot(q.detach().round().long() - LOWEST, LEVELS).to(soft.dtype)
        with torch.no_grad():
            mask = self.masker(torch.relu(y), n)
        bits = static_code_bits(soft + (hard - soft).detach(), mask)
        symbols = q * mask
        return Reconstruction(self.decode(symbols), Rates(bits, y.new_zeros(())), bits.detach(), symbols)

    def baking(self, asked: Asked = NOTHING, mse: LearnedCodec | None = None) -> ScalarRate:
        return ScalarRate(self, asked, mse)

    def freezer(self) -> MaskedPrefixFreezer:
        return MaskedPrefixFreezer(self, LEVELS)

    def initialise(self, photographs: Tensor) -> None:
        """Start as a transform codec."""
        _write_transform(self, photographs)

    @torch.no_grad()
    def decoder_input(self, image: Tensor, knobs: Knobs, side: Mapping[str, Tensor] = NO_SIDE_INPUTS) -> DecoderInput:
        """The symbols at the n of the knobs, 0 where there is none."""
        latents = self.encode(image, knobs.get("n", 0.0))
        return DecoderInput(latents, latents[-1], {})


class ScalarRate(Baking):
    """n stays an input of the one encoder, because it meets statistics of each picture; batch norm is folded."""

    model: Tunable

    def default_knobs(self) -> Knobs:
        return {name: scalar.default for name, scalar in self.scalars().items()}

    def settings(self) -> list[Knobs]:
        return [{"n": n} for n in (0.0, SMALLEST_N, LARGEST_N, SMALLEST_N / 2, LARGEST_N / 2)]

    def baked_encoder(self, knobs: Knobs) -> Point:
        return Point(knobs, Encoder(fold_batch_norm(self.model)), Encoder(self.model), self.scalars())

    def baked_decoder(self, knobs: Knobs) -> Point:
        return Point(knobs, Decoder(fold_batch_norm(self.model)), Decoder(self.model))


class Pyramid(nn.Module):
    """Image (B, 3, H, W) in [-1, 1] to omega (B, K, H/8, W/8), 0 or more."""

    WEIGHTS = (0.5, 0.25, 0.25)

    def __init__(self, preset: Preset) -> None:
        super().__init__()
        width = preset.widths[-1]
        self.branches = nn.ModuleList(
            _branch(preset.widths[omitted:], preset.encoder_blocks) for omitted in range(len(self.WEIGHTS))
        )
        # `forward` adds the last ReLU.
        self.omega = nn.Sequential(_same(width, width // 2), _same(width // 2, preset.latent_channels, rectified=False))

    def forward(self, image: Tensor) -> Tensor:
        return torch.relu(self.unrectified(image))

    def unrectified(self, image: Tensor) -> Tensor:
        """omega before its ReLU."""
        scales = (image, F.avg_pool2d(image, 2), F.avg_pool2d(image, 4))
        branches = zip(self.WEIGHTS, self.branches, scales, strict=True)
        return self.omega(sum(weight * branch(scale) for weight, branch, scale in branches))


class Masker(nn.Module):
    """Importance map of omega, and the mask it gives at n."""

    thresholds: Tensor

    def __init__(self, preset: Preset) -> None:
        super().__init__()
        width = preset.widths[-1]
        self.importance = nn.Sequential(
            _same(preset.latent_channels, width),
            *(ResidualBlock(width) for _ in range(preset.masker_blocks)),
            nn.Conv2d(width, 1, 3, padding=1),
        )
        channels = preset.latent_channels
        thresholds = [math.log(k / (channels - k)) for k in range(1, channels)]
        self.register_buffer("thresholds", torch.tensor(thresholds).reshape(1, -1, 1, 1), persistent=False)

    def standardised(self, omega: Tensor, n: Tensor | float) -> Tensor:
        """(y - (mean + n)) / sd (B, 1, h, w) of the importance map y, with statistics over each picture's whole map.

        The paper's formula has sd, which its text calls the variance.
        """
        y = self.importance(omega).float()
        mean = y.mean((2, 3), keepdim=True)
        variance = ((y - mean) ** 2).mean((2, 3), keepdim=True)
        return (y - (mean + n)) / torch.sqrt(variance.clamp_min(1e-12))

    def forward(self, omega: Tensor, n: Tensor | float) -> Tensor:
        """Mask (B, K, h, w): channel k of 1..K is 1 where sigmoid(standardised) >= (k - 1) / K.

        Computed without the sigmoid: standardised >= logit((k - 1) / K), and channel 1 is always kept.
        """
        standardised = self.standardised(omega, n)
        others = (standardised >= self.thresholds).to(standardised.dtype)
        return torch.cat((torch.ones_like(others[:, :1]), others), 1)


class ResidualBlock(nn.Module):
    """3x3, batch norm, ReLU, 3x3, batch norm, plus the identity; mirrored borders."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, padding_mode="reflect"),
            _batch_norm(channels),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1, padding_mode="reflect"),
            _batch_norm(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


class Activated(nn.Sequential):
    """A convolution, batch norm, and ReLU unless `rectified` is false."""

    def __init__(self, convolution: Convolution, *, rectified: bool = True) -> None:
        super().__init__(convolution, _batch_norm(convolution.out_channels), *([nn.ReLU()] if rectified else []))

    @property
    def convolution(self) -> Convolution:
        convolution = self[0]
        assert isinstance(convolution, (nn.Conv2d, nn.ConvTranspose2d))
        return convolution

    @property
    def norm(self) -> nn.BatchNorm2d:
        norm = self[1]
        assert isinstance(norm, nn.BatchNorm2d)
        return norm


def _branch(widths: tuple[int, ...], blocks: int) -> nn.Sequential:
    """RGB to stride 2^len(widths): a halving and one residual block per width, `blocks` of them at the last."""
    stages: list[nn.Module] = [Activated(nn.Conv2d(3, widths[0], 5, stride=2, padding=2))]
    for before, after in pairwise(widths):
        stages += [ResidualBlock(before), Activated(nn.Conv2d(before, after, 4, stride=2, padding=1))]
    return nn.Sequential(*stages, *(ResidualBlock(widths[-1]) for _ in range(blocks)))


def _synthesis(preset: Preset) -> nn.Sequential:
    """Symbols (B, K, h, w) to RGB (B, 3, 8h, 8w) before the tanh."""
    narrow, middle, wide = preset.widths
    return nn.Sequential(
        _same(preset.latent_channels, wide // 2),
        _same(wide // 2, wide),
        *(ResidualBlock(wide) for _ in range(preset.decoder_blocks)),
        Activated(nn.ConvTranspose2d(wide, wide, 4, stride=2, padding=1)),
        Activated(nn.ConvTranspose2d(wide, middle, 4, stride=2, padding=1)),
        Activated(nn.ConvTranspose2d(middle, narrow, 5, stride=2, padding=2, output_padding=1)),
        nn.Conv2d(narrow, 3, 3, padding=1, padding_mode="reflect"),
    )


def _same(inputs: int, outputs: int, *, rectified: bool = True) -> Activated:
    return Activated(nn.Conv2d(inputs, outputs, 3, padding=1), rectified=rectified)


def _batch_norm(channels: int) -> nn.BatchNorm2d:
    """Stored statistics in evaluation mode."""
    return nn.BatchNorm2d(channels, eps=1e-4)


@torch.no_grad()
def _write_transform(model: Tunable, photographs: Tensor) -> None:
    """Write a hierarchical Karhunen-Loeve transform, measured on photographs (n, 3, H, W) in [0, 1], into the weights.

    From a random start the symbols carry hardly any information for thousands of steps. Here the branch at full size
    and the synthesis start linear: channels come in pairs (v, -v), whose rectified difference is v again. Each stage is
    the best linear map of 2x2 blocks of the stage before it, its mirror image the transpose. Residual blocks start as
    the identity, the smaller branches nearly at zero, and batch norms as the identity on photographs, which is why they
    need no statistics of batches.

    The channels of the symbols, chosen so that 0, which a masked symbol becomes, is always a good guess:

    * Channel 1, which is always kept: in which quarter of its range the strongest component, brightness, lies.
    * Channels 2 and 3, a rectified pair: how far from the middle of that quarter. Quarters are read to and fro, as in a
      reflected code, so that an encoder of rectified lines can do it, and symbols stay close where quarters meet.
    * The rest: rectified pairs of the next components, the strongest over areas first: colours, then edges. A component
      that is alike over an area is missed most where it is masked.

    The importance map is the rank of a position among all by how much is in those pairs. Training leaves it like that.
    """
    stages, *smaller = (layers_of(Activated, branch) for branch in model.analysis.branches)
    blocks = [block for block in model.modules() if isinstance(block, ResidualBlock)]
    for block in blocks:
        *_, last_norm = layers_of(nn.BatchNorm2d, block.body)
        last_norm.weight.zero_()
    for *_, last in smaller:
        last.norm.weight.mul_(SPARE)

    components = 1 + (model.preset.latent_channels - FINE + 1) // 2
    features = x = 2 * photographs - 1
    bases: list[Tensor] = []
    for stage in stages:
        basis = principal_blocks(features, stage.convolution.out_channels // 2)
        if stage is stages[-1]:
            areas = nn.functional.avg_pool2d(nn.functional.conv2d(features, basis[:components], stride=2), AREA)
            basis[:components] = basis[areas.std((0, 2, 3)).argsort(descending=True)]
        features = nn.functional.conv2d(features, basis, stride=2)
        x = _set_linear(stage, basis, x, paired_input=bool(bases))
        bases.append(basis)

    eighth = features[:, 0].abs().max() / 4  # of the range of the strongest component: half a quarter
    gains = (LEVELS - 1) / (REACH * features[:, 1:components].std((0, 2, 3)))
    x = _set_symbols(model.analysis.omega, Pyramid.WEIGHTS[0] * x, eighth, gains)
    _set_importance(model.masker, x)

    narrow, wide, *doublings = layers_of(Activated, model.synthesis)
    x = _set_components(narrow, wide, nearest_level(x, LOWEST, LEVELS), eighth, gains)
    bases[-1][-2:] = bases[-1][0]
    for doubling, basis in zip(doublings[:-1], bases[:0:-1], strict=True):
        x = _set_linear(doubling, basis, x)
    bends = torch.tensor(BENDS).repeat_interleave(3)
    _set_linear(doublings[-1], bases[0].repeat(1, len(BENDS), 1, 1), x, bias=-bends)
    (image,) = layers_of(nn.Conv2d, model.synthesis)
    colours = torch.arange(3)
    image.weight *= SPARE
    for i, slope in enumerate(SLOPES):
        image.weight[colours, 3 * i + colours, 1, 1] = slope
        image.weight[colours, image.in_channels // 2 + 3 * i + colours, 1, 1] = -slope
    bias_of(image).zero_()
    _measure_norms(model, [*blocks, *model.analysis.branches[1:]], photographs)


def _set_symbols(omega: nn.Sequential, x: Tensor, eighth: Tensor, gains: Tensor) -> Tensor:
    """Set the layers of omega; returns omega. x: the pairs of components times the weight of their branch."""
    narrow, latent = layers_of(Activated, omega)
    half = narrow.convolution.out_channels // 2
    # The last pair is the strongest component again, beyond two eighths on either side.
    filters = torch.eye(half, narrow.convolution.in_channels // 2)
    filters[-1] = filters[0]
    bias = torch.zeros(half)
    bias[-1] = -2 * eighth
    x = _set_linear(narrow, at_centre(filters / Pyramid.WEIGHTS[0]), x, bias=bias)

    # One channel more than there are, which is cut off in the end: the last pair has one channel only.
    channels = latent.convolution.out_channels
    matrix, bias = torch.zeros(channels + 1, 2 * half), torch.zeros(channels + 1)
    matrix[0, [0, half]] = torch.tensor([1.0, -1.0]) / (2 * eighth)
    bias[0] = (LEVELS - 1) / 2
    # Folded twice: the value grows with the magnitude of the component, and falls beyond two eighths.
    fold = (LEVELS - 0.5) / eighth * torch.tensor([1.0, 1.0, -2.0, -2.0])
    matrix[1, [0, half, half - 1, -1]] = fold
    matrix[2] = -matrix[1]
    bias[1:3] = torch.tensor([0.5 - LEVELS, LEVELS - 0.5])
    for i, gain in enumerate(gains, 1):
        matrix[[2 * i + 1, 2 * i + 2], i] = torch.stack((gain, -gain))
        matrix[[2 * i + 1, 2 * i + 2], half + i] = torch.stack((-gain, gain))
    return _set(latent, at_centre(matrix[:-1]), bias[:-1], x)


def _set_importance(masker: Masker, omega: Tensor) -> None:
    """Let the importance map be the rank of a position, in lines between RANKS."""
    (first,) = layers_of(Activated, masker.importance)
    (last,) = layers_of(nn.Conv2d, masker.importance)
    filters = first.convolution.weight
    amount = torch.zeros(1, *filters.shape[1:])
    amount[:, FINE:] = 1 / 9
    y = nn.functional.conv2d(omega, amount, padding=1)
    bends = torch.quantile(y.flatten()[:: max(1, y.numel() // 100_000)], RANKS)
    slopes = RANKS.diff() / bends.diff().clamp_min(1e-3)
    weight = torch.randn_like(filters) * SPARE / filters[0].numel() ** 0.5
    weight[: len(slopes)] = amount
    bias = torch.zeros(len(weight))
    bias[: len(slopes)] = -bends[:-1]
    x = _set(first, weight, bias, omega)
    last.weight *= SPARE
    last.weight[0, : len(slopes)] = 0
    last.weight[0, : len(slopes), 1, 1] = slopes.diff(prepend=torch.zeros(1))
    last.weight *= SPREAD / last(x).std((2, 3)).mean()
    bias_of(last).zero_()


def _set_components(narrow: Activated, wide: Activated, symbols: Tensor, eighth: Tensor, gains: Tensor) -> Tensor:
    """Pairs of components from symbols. The first pair has the quarter of the strongest, the last two what is in it."""
    channels = symbols.shape[1]
    # Channel 1, and whether it is odd, by lines that are level at its values, so that the gradient there is 0.
    bends = torch.tensor([k + side for k in range(LEVELS - 1) for side in (0.25, 0.75)])
    odd = 2 * torch.tensor([(-1.0) ** (k + side) for k in range(LEVELS - 1) for side in (0, 1)])
    first = 1 + len(bends)  # of the other symbols
    matrix, bias = torch.zeros(narrow.convolution.out_channels, channels), torch.zeros(narrow.convolution.out_channels)
    matrix[:first, 0] = 1
    bias[1:first] = -bends
    matrix[first : first + channels - 1, 1:] = torch.eye(channels - 1)
    x = _set(narrow, _spared(narrow, matrix), bias, symbols)

    half = wide.convolution.out_channels // 2
    matrix, bias = torch.zeros(2 * half, len(matrix)), torch.zeros(2 * half)
    matrix[0, 0], bias[half] = 2 * eighth, 3 * eighth
    above, below = first, first + 1  # the middle of the quarter; the other way round in an odd one
    matrix[[half - 2, half - 1, -2, -1], [above, below, below, above]] = eighth / (LEVELS - 0.5)
    matrix[[half - 2, -2], 1:first] = -eighth * odd
    matrix[[half - 1, -1], 1:first] = eighth * odd
    bias[[half - 1, -1]] = -eighth
    for i, gain in enumerate(gains, 1):
        pair = matrix[:, first + 2 * i : min(first + 2 * i + 2, first + channels - 1)]
        pair[i] = torch.tensor([1, -1])[: pair.shape[1]] / gain
        pair[half + i] = -pair[i]
    return _set(wide, _spared(wide, matrix), bias, x)


def _spared(layer: Activated, matrix: Tensor) -> Tensor:
    """The layer's filters: `matrix` (outputs, inputs) at the centre, rows without anything random and small."""
    weight = torch.randn_like(layer.convolution.weight) * SPARE / layer.convolution.weight[0].numel() ** 0.5
    used = matrix.any(1)
    weight[used] = 0
    weight[used, :, 1, 1] = matrix[used]
    return weight


def _set_linear(
    layer: Activated, filters: Tensor, x: Tensor, *, bias: Tensor | None = None, paired_input: bool = True
) -> Tensor:
    """Let the layer map pairs by `filters`; returns its output for `x`. bias: of the first pairs, the same for both."""
    weight = torch.empty_like(layer.convolution.weight)
    set_pairs(weight, filters, paired_input=paired_input)
    both = torch.zeros(2, layer.convolution.out_channels // 2)
    if bias is not None:
        both[:, : len(bias)] = bias
    return _set(layer, weight, both.flatten(), x)


def _set(layer: Activated, weight: Tensor, bias: Tensor, x: Tensor) -> Tensor:
    """Let the layer have these filters, and its batch norm only add `bias`; returns the layer's output for `x`.

    weight: the filters, or their centres; they are zero elsewhere.
    """
    convolution, norm = layer.convolution, layer.norm
    assert norm.running_mean is not None and norm.running_var is not None
    convolution.weight.zero_()
    first = (convolution.weight.shape[2] - weight.shape[2]) // 2
    taps = slice(first, first + weight.shape[2])
    convolution.weight[:, :, taps, taps] = weight
    bias_of(convolution).zero_()
    y: Tensor = convolution(x)
    norm.running_mean.copy_(y.mean((0, 2, 3)))
    norm.running_var.copy_(y.var((0, 2, 3), unbiased=False))
    norm.weight.copy_((norm.running_var + norm.eps).sqrt())
    norm.bias.copy_(norm.running_mean + bias)
    return torch.relu(y + bias[:, None, None])


def _measure_norms(model: Tunable, modules: list[nn.Module], photographs: Tensor) -> None:
    """Store the statistics of `photographs` in the batch norms of `modules`."""
    norms = [norm for module in modules for norm in module.modules() if isinstance(norm, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    model.eval()
    for norm in norms:
        norm.train()
        norm.momentum = 1.0
    model(photographs)
    model.train()
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
