"""HiFiC (Mentzer, Toderici, Tschannen, Agustsson 2020, appendix A.1), with the scale hyperprior under it.

Five analysis convolutions with channel norm down to stride 16, a generator of residual blocks at that stride and four
transposed convolutions back up, and three small hyper networks. Images are in [0, 1] at both ends; clipping belongs to
the picture, not to the network.

The paper leaves open how edges are padded, which range the network sees and how it rounds, and the implementations
differ. `Preset` says which way a model goes; its defaults are what edgecodec trains, which NeuralCompression shares.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgecodec_export.families.blocks import ChannelNorm, FactorizedDensity
from edgecodec_export.families.hyperprior import (
    HYPERLATENT_STRIDE,
    LATENT_STRIDE,
    ScaleHyperprior,
    down5,
    up5,
)


@dataclass(frozen=True)
class Preset:
    """Widths of one size of HiFiC, and the conventions of its origin.

    widths: channels of the five analysis stages, from stride 1 to stride 16; the generator mirrors them.
    padding: "reflect" mirrors the edges of every convolution but the hyper-synthesis and the first of the
    hyper-analysis. Its 3x3 stride-2 convolutions then see one more row above and one more column on the right.
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
    PRESETS: ClassVar = {
        "published": Preset((60, 120, 240, 480, 960), 220, 320, 9),
        "compact": Preset((24, 48, 96, 128, 144), 80, 64, 3),
    }

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


class Analysis(nn.Sequential):
    """Image (B, 3, H, W) in [0, 1] to latent (B, M, H/16, W/16), or to the next multiples of 4 of those.

    7x7 stem, four 3x3 stride-2 stages, each with channel norm and ReLU, and a bare 3x3 to the latent.
    """

    def __init__(self, preset: Preset) -> None:
        first = preset.widths[0]
        layers: list[nn.Module] = [_convolution(preset, 3, first, 7), ChannelNorm(first), nn.ReLU()]
        for inputs, outputs in pairwise(preset.widths):
            layers += [_halving(preset, inputs, outputs), ChannelNorm(outputs), nn.ReLU()]
        # The latent of a picture of 16 pixels has a single row, which is less than there is to mirror.
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

    margins: left, right, top, bottom. any_size: whether a side may be no longer than its margin. `mirror` is used then,
    on which ONNX Runtime spends ten times as long as on its own padding.
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
        # The mode is named for whoever asks how edges are treated; the padding itself is done here.
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
