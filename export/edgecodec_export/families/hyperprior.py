"""The scale hyperprior of Balle et al. 2018 and Minnen et al. 2018, as a family of its own.

Its transforms are those of the papers, or those of `edgecodec_export.layers.block_transform`, with which a decode takes
less work.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from edgecodec_export.families.scale_hyperprior import ScaleHyperprior
from edgecodec_export.layers.block_transform import BlockAnalysis, BlockSynthesis, write_block_transform
from edgecodec_export.layers.convolutions import bias_of, down5, up5
from edgecodec_export.layers.densities import FactorizedDensity
from edgecodec_export.layers.initial_transform import layers_of, principal_blocks, set_filters
from edgecodec_export.layers.normalisation import GDN
from edgecodec_export.layers.precision import EndsInFloat32

WEAK_NORM = 0.1  # of the initial transform: gamma over that of a GDN as it is drawn
LATENT_GAIN = 3.0  # of the initial transform: near the gain at which a rounding step of 1 suits 0.2 to 0.3 bits a pixel


@dataclass(frozen=True)
class Preset:
    """Widths of the `hyperprior` family: N transform channels, M latent channels.

    predicts_means: whether the hyperlatent gives the means of y too (Minnen et al. 2018) or only its scales
    (Balle et al. 2018).
    block_channels, block_units: of transforms that work on blocks of 8x8 pixels in place of the papers' ones: channels
    at stride 8, and the residual units of the analysis and of the synthesis there. 0 channels for the papers' ones.
    """

    transform_channels: int
    latent_channels: int
    predicts_means: bool = True
    block_channels: int = 0
    block_units: tuple[int, int] = (0, 0)


class Hyperprior(ScaleHyperprior):
    """Hyperprior with GDN transforms: four 5x5 stride-2 convolutions with GDN between, and hyper transforms of three.

    With means: Minnen et al. 2018, table 1 without the context column, which is `mbt2018_mean` of CompressAI. The hyper
    transforms have LeakyReLU (slope 0.01), and the last convolution of the hyper-synthesis emits the scales of all M
    channels first and their means after.

    Without: Balle et al. 2018, figure 4, which is `bmshj2018_hyperprior` of CompressAI. The hyper transforms have ReLU,
    and the hyper-analysis takes magnitudes. The ReLU that the paper puts after the scales is left out, because scales
    have a positive lower bound anyway.

    With blocks: the same hyperprior, but for a narrower hyper-synthesis, between transforms of no paper. `light`
    decodes with 5.4 thousand multiplications for a pixel, all networks together.
    """

    FAMILY = "hyperprior"
    PAPER = (
        "the scale hyperprior (Balle, Minnen, Singh, Hwang, Johnston: Variational Image Compression with a Scale "
        "Hyperprior, 2018; with means, Minnen, Balle, Toderici: Joint Autoregressive and Hierarchical Priors, 2018)"
    )
    SPLITS_DOUBLINGS = True
    HAS_TRUNK = False
    PRESETS: ClassVar = {
        "published": Preset(192, 320),
        "published-low": Preset(128, 192),
        "compact": Preset(48, 64),
        "light": Preset(48, 80, block_channels=128, block_units=(6, 1)),
    }

    analysis: nn.Sequential
    synthesis: nn.Sequential

    def __init__(self, preset: Preset) -> None:
        super().__init__(preset)
        n, m = preset.transform_channels, preset.latent_channels
        self.latent_channels, self.hyperlatent_channels = m, n
        self.predicts_means = preset.predicts_means
        if preset.block_channels:
            analysis_units, synthesis_units = preset.block_units
            self.analysis = BlockAnalysis(preset.block_channels, analysis_units, m)
            self.synthesis = BlockSynthesis(m, preset.block_channels, synthesis_units)
        else:
            self.analysis = _analysis(n, m)
            self.synthesis = _synthesis(m, n)
        rectifier = nn.LeakyReLU if preset.predicts_means else nn.ReLU
        self.hyper_analysis = nn.Sequential(
            nn.Conv2d(m, n, 3, padding=1), rectifier(), down5(n, n), rectifier(), down5(n, n)
        )
        first, second, outputs = (m, m * 3 // 2, 2 * m) if preset.predicts_means else (n, n, m)
        if preset.block_channels:
            self.HAS_TRUNK = True
            second = m
        self.hyper_synthesis = nn.Sequential(
            up5(n, first), rectifier(), up5(first, second), rectifier(), nn.Conv2d(second, outputs, 3, padding=1)
        )
        self.density = FactorizedDensity(n)

    def hyper_input(self, y: Tensor) -> Tensor:
        return y if self.predicts_means else y.abs()

    def mean(self, z: Tensor) -> Tensor | None:
        return self._half(1)(z) if self.predicts_means else None

    def scale_network(self) -> nn.Sequential:
        return self._half(0) if self.predicts_means else self.hyper_synthesis

    def initialise(self, photographs: Tensor) -> None:
        """Start as a transform codec."""
        if isinstance(self.analysis, BlockAnalysis) and isinstance(self.synthesis, BlockSynthesis):
            write_block_transform(self.analysis, self.synthesis, photographs, LATENT_GAIN)
        else:
            _write_transform(self.analysis, self.synthesis, photographs)

    def _half(self, half: int) -> nn.Sequential:
        """The hyper-synthesis with only one half of its last convolution's outputs."""
        *body, last = self.hyper_synthesis
        assert isinstance(last, nn.Conv2d)
        return nn.Sequential(*body, _OutputSlice(last, half * self.latent_channels, self.latent_channels))


def _analysis(n: int, m: int) -> nn.Sequential:
    return EndsInFloat32(
        *(down5(3, n), GDN(n)),
        *(down5(n, n), GDN(n)),
        *(down5(n, n), GDN(n)),
        down5(n, m),
    )


def _synthesis(m: int, n: int) -> nn.Sequential:
    return nn.Sequential(
        *(up5(m, n), GDN(n, inverse=True)),
        *(up5(n, n), GDN(n, inverse=True)),
        *(up5(n, n), GDN(n, inverse=True)),
        up5(n, 3),
    )


@torch.no_grad()
def _write_transform(analysis: nn.Sequential, synthesis: nn.Sequential, photographs: Tensor) -> None:
    """Principal components of 2x2 blocks, of 2x2 of those and so on, between normalisations that hardly act."""
    downs, ups = layers_of(nn.Conv2d, analysis), layers_of(nn.ConvTranspose2d, synthesis)
    features = photographs - 0.5
    for down, up in zip(downs, reversed(ups), strict=True):
        basis = principal_blocks(features, down.out_channels)
        features = nn.functional.conv2d(features, basis, stride=2)
        gain = LATENT_GAIN if down is downs[-1] else 1.0
        set_filters(down, gain * basis)
        set_filters(up, basis / gain)
        if down is downs[0]:
            bias_of(down)[: len(basis)] = -0.5 * basis.sum((1, 2, 3))
            bias_of(up).fill_(0.5)
    for norm in (*layers_of(GDN, analysis), *layers_of(GDN, synthesis)):
        norm.gamma.mul_(WEAK_NORM**0.5)


class _OutputSlice(nn.Conv2d):
    """View of some output channels of a 3x3 convolution; shares its parameters and their gradients."""

    weight: Tensor  # a view of a parameter, and not a parameter itself
    bias: Tensor

    def __init__(self, whole: nn.Conv2d, start: int, count: int) -> None:
        super().__init__(whole.in_channels, count, 3, padding=1, device="meta")
        del self.weight, self.bias
        self.weight = whole.weight[start : start + count]
        self.bias = bias_of(whole)[start : start + count]

    def forward(self, input: Tensor) -> Tensor:
        """The layers before may have been converted to another precision than the one that is viewed."""
        return super().forward(input.to(self.weight.dtype))
