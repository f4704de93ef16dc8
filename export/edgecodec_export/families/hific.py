"""HiFiC (Mentzer, Toderici, Tschannen, Agustsson 2020, appendix A.1), with the scale hyperprior under it.

Five analysis convolutions with channel norm down to stride 16, a generator of residual blocks at that stride and four
transposed convolutions back up, and three small hyper networks. Images are in [0, 1] at both ends; clipping belongs to
the picture, not to the network.

The paper leaves open how edges are padded, which range of values the network takes and how it rounds, and the
implementations differ. `Preset` says which way a model goes; its defaults are what edgecodec trains, and what
NeuralCompression does.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgecodec_export.families.scale_hyperprior import HYPERLATENT_STRIDE, LATENT_STRIDE, ScaleHyperprior
from edgecodec_export.layers.convolutions import Convolution, bias_of, down5, up5
from edgecodec_export.layers.densities import FactorizedDensity
from edgecodec_export.layers.initial_transform import SPARE, layers_of, principal_blocks
from edgecodec_export.layers.normalisation import ChannelNorm
from edgecodec_export.layers.precision import EndsInFloat32

# Initial transform.
ANCHOR = 8.0  # squared anchor over the mean squared norm of the signal: 16 : 1 for the pair
LATENT_GAIN = 3.0  # near the gain at which a rounding step of 1 is optimal for 0.2 to 0.3 bits per pixel


@dataclass(frozen=True)
class Preset:
    """Widths of one size of HiFiC, and the conventions of its origin.

    widths: channels of the five analysis stages, from stride 1 to stride 16; the generator mirrors them.
    padding: "reflect" mirrors the edges of every convolution but the hyper-synthesis and the first of the
    hyper-analysis. The 3x3 stride-2 convolutions are then padded by one row above and one column on the right.
    signed_images: the network works in [-1, 1] and ends in a hyperbolic tangent, instead of in [0, 1] and linearly.
    rounding: of latents halfway between two integers, to the even one or up.
    likelihood: the density of r.
    pads_latent: pictures are padded to multiples of 16 only, and `encode` mirrors the latent to multiples of 4.
    """

    widths: tuple[int, int, int, int, int]
    latent_channels: int
    hyperlatent_channels: int
    residual_blocks: int
    padding: Literal["zero", "reflect"] = "zero"
    signed_images: bool = False
    rounding: Literal["half to even", "half up"] = "half to even"
    likelihood: Literal["gaussian", "logistic"] = "gaussian"
    pads_latent: bool = False


class Hific(ScaleHyperprior):
    """The generator and encoder of HiFiC at a preset's size.

    Where the preset pads latents, ALIGNMENT is 16: `encode` takes (B, 3, 16a, 16b), and its latents are those of a
    picture whose sides are the next multiples of 64. `decode` gives that larger picture; the true one is its top left.
    """

    FAMILY = "hific"
    PAPER = "HiFiC (Mentzer, Toderici, Tschannen, Agustsson: High-Fidelity Generative Image Compression, 2020)"
    PRESETS: ClassVar = {
        "published": Preset((60, 120, 240, 480, 960), 220, 320, 9),
        "compact": Preset((24, 48, 96, 128, 144), 80, 64, 3),
    }

    analysis: Analysis
    synthesis: Generator

    def __init__(self, preset: Preset) -> None:
        super().__init__(preset)
        m, n = preset.latent_channels, preset.hyperlatent_channels
        self.latent_channels, self.hyperlatent_channels = m, n
        self.rounding, self.likelihood = preset.rounding, preset.likelihood
        self.ALIGNMENT = LATENT_STRIDE if preset.pads_latent else HYPERLATENT_STRIDE
        self.analysis = Analysis(preset)
        self.synthesis = Generator(preset)
        self.hyper_analysis = nn.Sequential(
            nn.Conv2d(m, n, 3, padding=1), nn.ReLU(), _down5(preset), nn.ReLU(), _down5(preset)
        )
        self.hyper_synthesis_mean = _hyper_synthesis(n, m)
        self.hyper_synthesis_scale = _hyper_synthesis(n, m)
        self.density = FactorizedDensity(n)

    def mean(self, z: Tensor) -> Tensor:
        return self.hyper_synthesis_mean(z)

    def scale_network(self) -> nn.Sequential:
        return self.hyper_synthesis_scale

    def round(self, x: Tensor) -> Tensor:
        """To the nearest integer; halves as the preset says."""
        return torch.floor(x + 0.5) if self.rounding == "half up" else torch.round(x)

    def initialise(self, photographs: Tensor) -> None:
        """Start as a transform codec."""
        _write_transform(self, photographs)


class Analysis(EndsInFloat32):
    """Image (B, 3, H, W) in [0, 1] to latent (B, M, H/16, W/16), or to the next multiples of 4 of those.

    7x7 stem, four 3x3 stride-2 stages, each with channel norm and ReLU, and a bare 3x3 to the latent.
    """

    def __init__(self, preset: Preset) -> None:
        first = preset.widths[0]
        layers: list[nn.Module] = [_convolution(preset, 3, first, 7), ChannelNorm(first), nn.ReLU()]
        for inputs, outputs in pairwise(preset.widths):
            layers += [_halving(preset, inputs, outputs), ChannelNorm(outputs), nn.ReLU()]
        # The latent of a picture of 16 pixels has a single row, from which `F.pad` cannot mirror one.
        super().__init__(*layers, _convolution(preset, preset.widths[-1], preset.latent_channels, 3, any_size=True))
        self.signed_images, self.pads_latent = preset.signed_images, preset.pads_latent

    def forward(self, image: Tensor) -> Tensor:
        y = super().forward(2 * image - 1 if self.signed_images else image)
        if not self.pads_latent:
            return y
        ratio = HYPERLATENT_STRIDE // LATENT_STRIDE
        below, right = (-side % ratio for side in y.shape[2:])
        return mirror(y, (0, right, 0, below))


def _hyper_synthesis(n: int, m: int) -> nn.Sequential:
    return nn.Sequential(up5(n, n), nn.ReLU(), up5(n, n), nn.ReLU(), nn.Conv2d(n, m, 3, padding=1))


class Generator(nn.Module):
    """Latent (B, M, h, w) to image (B, 3, 16h, 16w): head, residual blocks with a long skip, four doublings."""

    def __init__(self, preset: Preset) -> None:
        super().__init__()
        widths = preset.widths[::-1]
        self.head = nn.Sequential(
            ChannelNorm(preset.latent_channels),
            _convolution(preset, preset.latent_channels, widths[0], 3),
            ChannelNorm(widths[0]),
        )
        blocks = (ResidualBlock(preset, widths[0]) for _ in range(preset.residual_blocks))
        self.residual_blocks = nn.Sequential(*blocks)
        doublings: list[nn.Module] = []
        for inputs, outputs in pairwise(widths):
            up3 = nn.ConvTranspose2d(inputs, outputs, 3, stride=2, padding=1, output_padding=1)
            doublings += [up3, ChannelNorm(outputs), nn.ReLU()]
        self.doublings = nn.Sequential(*doublings)
        self.image = _convolution(preset, widths[-1], 3, 7)
        self.signed_images = preset.signed_images

    def forward(self, y: Tensor) -> Tensor:
        head = self.head(y)
        image = self.image(self.doublings(self.residual_blocks(head) + head))
        return (torch.tanh(image) + 1) / 2 if self.signed_images else image


class ResidualBlock(nn.Module):
    """3x3, channel norm, ReLU, 3x3, channel norm, plus the identity."""

    def __init__(self, preset: Preset, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            _convolution(preset, channels, channels, 3),
            ChannelNorm(channels),
            nn.ReLU(),
            _convolution(preset, channels, channels, 3),
            ChannelNorm(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


def _convolution(preset: Preset, inputs: int, outputs: int, kernel: int, any_size: bool = False) -> nn.Conv2d:
    """A convolution that keeps its input's sides."""
    margin = kernel // 2
    if preset.padding == "reflect":
        return ReflectConv2d(inputs, outputs, kernel, margins=(margin,) * 4, any_size=any_size)
    return nn.Conv2d(inputs, outputs, kernel, padding=margin)


def _halving(preset: Preset, inputs: int, outputs: int) -> nn.Conv2d:
    """3x3 convolution that halves each side."""
    if preset.padding == "reflect":
        return ReflectConv2d(inputs, outputs, 3, stride=2, margins=(0, 1, 1, 0))
    return nn.Conv2d(inputs, outputs, 3, stride=2, padding=1)


def _down5(preset: Preset) -> nn.Conv2d:
    n = preset.hyperlatent_channels
    if preset.padding == "reflect":
        return ReflectConv2d(n, n, 5, stride=2, margins=(2, 2, 2, 2), any_size=True)
    return down5(n, n)


class ReflectConv2d(nn.Conv2d):
    """Convolution whose input is mirrored at the edges first.

    margins: left, right, top, bottom. any_size: whether a side may be no longer than its margin. Then `mirror` pads,
    which takes ONNX Runtime ten times as long as its own padding.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        *,
        margins: tuple[int, int, int, int],
        stride: int = 1,
        any_size: bool = False,
    ) -> None:
        # The mode tells other code how edges are treated; the padding itself is done in `forward`.
        super().__init__(inputs, outputs, kernel, stride, padding_mode="reflect")
        self.margins, self.any_size = margins, any_size

    def forward(self, x: Tensor) -> Tensor:
        padded = mirror(x, self.margins) if self.any_size else F.pad(x, self.margins, mode="reflect")
        return F.conv2d(padded, self.weight, self.bias, self.stride)


def mirror(x: Tensor, margins: tuple[int, int, int, int]) -> Tensor:
    """(B, C, h, w) grown by `margins` (left, right, top, bottom), mirrored without repeating the edge.

    A side of n mirrors with period 2n - 2, so that a margin may be wider than it; a side of 1 repeats.
    """
    left, right, top, bottom = margins
    rows, columns = _mirrored(x.shape[2], top, bottom), _mirrored(x.shape[3], left, right)
    return x.index_select(2, rows.to(x.device)).index_select(3, columns.to(x.device))


def _mirrored(size: int, before: int, after: int) -> Tensor:
    """(before + size + after,) the position that each position is a copy of."""
    period = torch.scalar_tensor(2 * size - 2, dtype=torch.int64).clamp_min(1)
    phase = torch.arange(-before, size + after) % period
    return torch.minimum(phase, period - phase)


@torch.no_grad()
def _write_transform(model: Hific, photographs: Tensor) -> None:
    """Write a hierarchical Karhunen-Loeve transform, measured on photographs (n, 3, H, W) in [0, 1], into the weights.

    From a random start the channel norms of a small HiFiC take hours to let brightness and contrast through. Here every
    stage starts as the best linear map of 2x2 blocks of the stage before it, by three steps:

    * A rectified stage can be linear when channels come in pairs (v, -v), as relu(v) - relu(-v) = v (Balduzzi et al.
      2017).
    * A channel norm is nearly linear while one pair of channels holds a constant, the *anchor*, that outweighs the
      signal; gamma then undoes its division.
    * The synthesis of an orthonormal transform is its transpose. A 3x3 stride-2 convolution with four non-zero taps
      covers each 2x2 block once, and so does the transposed convolution.

    The remaining channels start random and small, the residual blocks start as identities.
    """
    stem, *stages, latent = layers_of(nn.Conv2d, model.analysis)
    norms = layers_of(ChannelNorm, model.analysis)
    features = photographs - 0.5
    bases: list[Tensor] = []

    half = stem.out_channels // 2
    linear = torch.zeros(half, 3, 7, 7)
    linear[:3, :, 3, 3] = torch.eye(3)
    linear[3:-1] = torch.randn_like(linear[3:-1]) * SPARE / linear[0].numel() ** 0.5
    _set_paired(stem, norms[0], linear, features, offset=-0.5 * linear.sum((1, 2, 3)), paired_input=False)

    for stage, norm in zip(stages, norms[1:], strict=True):
        basis = principal_blocks(features, stage.out_channels // 2 - 1)
        features = nn.functional.conv2d(features, basis, stride=2)
        bases.append(basis)
        _set_paired(stage, norm, _widen(basis, stage.out_channels // 2, stage.in_channels // 2), features)

    kept = features.shape[1]
    nn.init.normal_(latent.weight, std=SPARE / latent.weight[0].numel() ** 0.5)
    latent.weight[:kept] = 0
    inputs = latent.in_channels // 2
    diagonal = torch.arange(kept)
    latent.weight[diagonal, diagonal, 1, 1] = LATENT_GAIN
    latent.weight[diagonal, inputs + diagonal, 1, 1] = -LATENT_GAIN
    energy = (features * LATENT_GAIN).square().sum(1).mean()
    anchor = (ANCHOR * energy).sqrt()
    latent.weight[-2:] = 0
    bias_of(latent).zero_()
    bias_of(latent)[-2:] = torch.stack([anchor, -anchor])
    *_, final_mean = layers_of(nn.Conv2d, model.hyper_synthesis_mean)
    final_mean.weight.mul_(SPARE)
    bias_of(final_mean).copy_(bias_of(latent))

    _set_synthesis(model, bases, energy)


def _set_synthesis(model: Hific, bases: list[Tensor], energy: Tensor) -> None:
    norm, head_norm = layers_of(ChannelNorm, model.synthesis.head)
    (convolution,) = layers_of(nn.Conv2d, model.synthesis.head)
    norm.gamma.fill_(((2 * ANCHOR + 1) * energy / (model.latent_channels - 1)).sqrt())
    kept, half = bases[-1].shape[0], convolution.out_channels // 2
    # The anchors are a pair, so their sum is minus twice the mean that the norm subtracted: minus half of it puts the
    # mean back.
    restore = torch.zeros(half, model.latent_channels)
    diagonal = torch.arange(kept)
    restore[diagonal, diagonal] = 1 / LATENT_GAIN
    restore[:kept, -2:] -= 0.5 / LATENT_GAIN
    linear = torch.zeros(half, model.latent_channels, 3, 3)
    linear[:, :, 1, 1] = restore
    energy = energy / LATENT_GAIN**2
    _set_norm(convolution, head_norm, energy * 2)
    convolution.weight.copy_(torch.cat([linear, -linear]))
    for block in layers_of(ResidualBlock, model.synthesis.residual_blocks):
        *_, last_norm = layers_of(ChannelNorm, block.body)
        last_norm.gamma.zero_()
    doublings = layers_of(nn.ConvTranspose2d, model.synthesis.doublings)
    doubling_norms = layers_of(ChannelNorm, model.synthesis.doublings)
    scale = 0.25  # two pairs average to one feature, and the long skip doubles it
    for doubling, doubling_norm, basis in zip(doublings, doubling_norms, reversed(bases), strict=True):
        inputs, outputs = doubling.in_channels // 2, doubling.out_channels // 2
        wide = _widen(basis, inputs, outputs)
        if outputs > basis.shape[1]:
            wide[:, basis.shape[1] : -1] += torch.randn_like(wide[:, basis.shape[1] : -1]) * SPARE / (4 * inputs) ** 0.5
        wide = wide * scale
        doubling.weight.copy_(torch.cat([torch.cat([wide, -wide], 1), torch.cat([-wide, wide], 1)], 0))
        energy = energy / 4
        _set_norm(doubling, doubling_norm, energy * 2)
        scale = 1.0
    image = model.synthesis.image
    nn.init.normal_(image.weight, std=SPARE * 0.1 / image.weight[0].numel() ** 0.5)
    colours, half = torch.arange(3), image.in_channels // 2
    image.weight[colours, colours, 3, 3] += 1
    image.weight[colours, half + colours, 3, 3] -= 1
    bias_of(image).fill_(0.5)


def _widen(basis: Tensor, outputs: int, inputs: int) -> Tensor:
    """The block filters as 3x3 filters of `outputs` x `inputs` channels, unused rows random and small."""
    rows, columns = basis.shape[:2]
    wide = torch.zeros(outputs, inputs, 3, 3)
    wide[rows:-1] = torch.randn(max(outputs - 1 - rows, 0), inputs, 3, 3) * SPARE / (9 * inputs) ** 0.5
    wide[:rows, :columns, 1:, 1:] = basis
    return wide


def _set_paired(
    layer: nn.Conv2d,
    norm: ChannelNorm,
    linear: Tensor,
    features: Tensor,
    offset: Tensor | None = None,
    paired_input: bool = True,
) -> None:
    """Give `layer` the pairs (linear, -linear); features: what its used outputs will be, for the energy."""
    block = torch.cat([linear, -linear], 1) if paired_input else linear
    layer.weight.copy_(torch.cat([block, -block]))
    _set_norm(layer, norm, features.square().sum(1).mean() * 2)
    if offset is not None:
        bias_of(layer).add_(torch.cat([offset, -offset]))


def _set_norm(layer: Convolution, norm: ChannelNorm, energy: Tensor) -> None:
    """Anchor the last channel of each half against a signal of mean squared norm `energy`, and undo the division."""
    anchor = (ANCHOR * energy).sqrt()
    bias = bias_of(layer)
    bias.zero_()
    bias[layer.out_channels // 2 - 1] = anchor
    bias[-1] = -anchor
    norm.gamma.fill_(((2 * ANCHOR + 1) * energy / (layer.out_channels - 1)).sqrt())
