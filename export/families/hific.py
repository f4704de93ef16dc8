"""HiFiC (Mentzer, Toderici, Tschannen, Agustsson 2020, appendix A.1), with the scale hyperprior under it.

Five analysis convolutions with channel norm down to stride 16, a generator of residual blocks at that stride and four
transposed convolutions back up, and three small hyper networks. All convolutions are zero padded. Images are in [0, 1]
at both ends and the output is linear; clipping belongs to the picture, not to the network.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

from torch import Tensor, nn

from edgecodec.export.families.blocks import ChannelNorm, FactorizedDensity
from edgecodec.export.families.hyperprior import ScaleHyperprior, down5, up5


@dataclass(frozen=True)
class Preset:
    """Widths of one size of HiFiC.

    widths: channels of the five analysis stages, from stride 1 to stride 16; the generator mirrors them.
    """

    widths: tuple[int, int, int, int, int]
    latent_channels: int
    hyperlatent_channels: int
    residual_blocks: int


class Hific(ScaleHyperprior):
    """The generator and encoder of HiFiC at a preset's size."""

    FAMILY = "hific"
    PRESETS: ClassVar = {
        "published": Preset((60, 120, 240, 480, 960), 220, 320, 9),
        "compact": Preset((24, 48, 96, 128, 144), 80, 64, 3),
    }

    def __init__(self, preset: Preset) -> None:
        super().__init__()
        m, n = preset.latent_channels, preset.hyperlatent_channels
        self.latent_channels, self.hyperlatent_channels = m, n
        self.analysis = _analysis(preset)
        self.synthesis = Generator(preset)
        self.hyper_analysis = nn.Sequential(
            nn.Conv2d(m, n, 3, padding=1), nn.ReLU(), down5(n, n), nn.ReLU(), down5(n, n)
        )
        self.hyper_synthesis_mean = _hyper_synthesis(n, m)
        self.hyper_synthesis_scale = _hyper_synthesis(n, m)
        self.density = FactorizedDensity(n)

    def mean(self, z: Tensor) -> Tensor:
        return self.hyper_synthesis_mean(z)

    def scale_network(self) -> nn.Sequential:
        return self.hyper_synthesis_scale


def _analysis(preset: Preset) -> nn.Sequential:
    """7x7 stem, four 3x3 stride-2 stages, each with channel norm and ReLU, and a bare 3x3 to the latent."""
    first = preset.widths[0]
    layers: list[nn.Module] = [nn.Conv2d(3, first, 7, padding=3), ChannelNorm(first), nn.ReLU()]
    for inputs, outputs in pairwise(preset.widths):
        layers += [nn.Conv2d(inputs, outputs, 3, stride=2, padding=1), ChannelNorm(outputs), nn.ReLU()]
    return nn.Sequential(*layers, nn.Conv2d(preset.widths[-1], preset.latent_channels, 3, padding=1))


def _hyper_synthesis(n: int, m: int) -> nn.Sequential:
    return nn.Sequential(up5(n, n), nn.ReLU(), up5(n, n), nn.ReLU(), nn.Conv2d(n, m, 3, padding=1))


class Generator(nn.Module):
    """Latent (B, M, h, w) to image (B, 3, 16h, 16w): head, residual blocks with a long skip, four doublings."""

    def __init__(self, preset: Preset) -> None:
        super().__init__()
        widths = preset.widths[::-1]
        self.head = nn.Sequential(
            ChannelNorm(preset.latent_channels),
            nn.Conv2d(preset.latent_channels, widths[0], 3, padding=1),
            ChannelNorm(widths[0]),
        )
        self.residual_blocks = nn.Sequential(*(ResidualBlock(widths[0]) for _ in range(preset.residual_blocks)))
        doublings: list[nn.Module] = []
        for inputs, outputs in pairwise(widths):
            up3 = nn.ConvTranspose2d(inputs, outputs, 3, stride=2, padding=1, output_padding=1)
            doublings += [up3, ChannelNorm(outputs), nn.ReLU()]
        self.doublings = nn.Sequential(*doublings)
        self.image = nn.Conv2d(widths[-1], 3, 7, padding=3)

    def forward(self, y: Tensor) -> Tensor:
        head = self.head(y)
        return self.image(self.doublings(self.residual_blocks(head) + head))


class ResidualBlock(nn.Module):
    """3x3, channel norm, ReLU, 3x3, channel norm, plus the identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1),
            ChannelNorm(channels),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
            ChannelNorm(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)
