"""The scale hyperprior: the entropy model under HiFiC, and a family of its own.

Balle et al. 2018 (scales only) and Minnen et al. 2018 without context (mean and scale). Shapes, for an image of
height H and width W whose sides are multiples of 64:

    image (B, 3, H, W) in [0, 1]     latent y (B, M, H/16, W/16)     hyperlatent z (B, N, H/64, W/64)

z is coded as round(z - median) with one table per channel; y as r = round(y - mean(z)) with one of 64 Gaussian
tables, chosen by the scale network alone. Only that network has to be exact at both ends.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple

import torch
from torch import Tensor, nn

from edgecodec_export.families.blocks import (
    GDN,
    FactorizedDensity,
    add_uniform_noise,
    gaussian_likelihood,
    logistic_likelihood,
    round_straight_through,
)
from edgecodec_export.families.codec import Latent, LearnedCodec

ALIGNMENT = 64  # image sides are padded to this multiple, so that z covers the picture
LATENT_STRIDE = 16
HYPERLATENT_STRIDE = 64


class Rates(NamedTuple):
    """Information content of one batch, in bits."""

    latent: Tensor
    hyperlatent: Tensor


class ScaleHyperprior(LearnedCodec):
    """What training and export need of any codec with a scale hyperprior; the subclass supplies the transforms.

    A subclass assigns `analysis`, `synthesis`, `hyper_analysis` and `density`, and defines `mean` and
    `scale_network`. Image values are in [0, 1] on both sides.
    """

    ALIGNMENT = ALIGNMENT
    DECODER_PREFIXES = ("synthesis.",)

    analysis: nn.Module
    synthesis: nn.Module
    hyper_analysis: nn.Module
    density: FactorizedDensity
    latent_channels: int
    hyperlatent_channels: int

    #: Density of r, whose tables the scales choose between.
    likelihood: Literal["gaussian", "logistic"] = "gaussian"

    def encoder_latents(self) -> tuple[Latent, ...]:
        """z, which is coded first, and r."""
        return (
            Latent("z", self.hyperlatent_channels, HYPERLATENT_STRIDE),
            Latent("r", self.latent_channels, LATENT_STRIDE),
        )

    def encode(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 3, H, W) in [0, 1] to the symbols of z and r."""
        z_symbols, residual, _ = self.quantise(self.analysis(image))
        return z_symbols, residual

    def decode(self, z_symbols: Tensor, residual: Tensor) -> Tensor:
        """The symbols to (B, 3, H, W), about [0, 1]."""
        return self.synthesis(self.rebuild(z_symbols, residual))

    def mean(self, z: Tensor) -> Tensor | None:
        """(B, N, h, w) hyperlatent to the (B, M, 4h, 4w) mean of y, or None where means are zero."""
        raise NotImplementedError

    def scale_network(self) -> nn.Sequential:
        """The layers from z to the raw scale of y: convolutions and rectifiers only, ready to be made integer."""
        raise NotImplementedError

    def hyper_input(self, y: Tensor) -> Tensor:
        """What the hyper-analysis sees of the latent."""
        return y

    def round(self, x: Tensor) -> Tensor:
        """To the nearest integer, half to even."""
        return torch.round(x)

    def quantise(self, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, M, h, w) latent to the integers that are coded and the latent they rebuild: z symbols, r, y.

        r is taken against the mean of the rounded z, which is what a decoder has.
        """
        medians = self.density.medians.reshape(1, -1, 1, 1)
        z_symbols = self.round(self.hyper_analysis(self.hyper_input(y)) - medians)
        mean = self.mean(z_symbols + medians)
        residual = self.round(y if mean is None else y - mean)
        return z_symbols, residual, residual if mean is None else residual + mean

    def rebuild(self, z_symbols: Tensor, residual: Tensor) -> Tensor:
        """Decoded integers to the latent the synthesis takes: y = r + mean(z + median)."""
        mean = self.mean(z_symbols + self.density.medians.reshape(1, -1, 1, 1))
        return residual if mean is None else residual + mean

    def forward(self, image: Tensor) -> tuple[Tensor, Rates]:
        """Reconstruction from rounded latents; rates in training from latents with uniform noise, else rounded ones.

        Rounding with a straight-through gradient on the way to the pixels and noise on the way to the rate is the
        mixed scheme of Minnen and Singh 2020, section 3.2.
        """
        y = self.analysis(image)
        z = self.hyper_analysis(self.hyper_input(y))
        medians = self.density.medians.reshape(1, -1, 1, 1)
        z_rounded = round_straight_through(z - medians, self.round) + medians
        z_noisy = add_uniform_noise(z) if self.training else z_rounded
        mean = self.mean(z_rounded)
        residual = y if mean is None else y - mean
        noisy = add_uniform_noise(residual) if self.training else self.round(residual)
        rebuilt = round_straight_through(residual, self.round)
        rebuilt = rebuilt if mean is None else rebuilt + mean
        likelihood = gaussian_likelihood if self.likelihood == "gaussian" else logistic_likelihood
        rates = Rates(
            latent=-likelihood(noisy, self.scale_network()(z_rounded)).log2().sum(),
            hyperlatent=-self.density.likelihood(z_noisy).log2().sum(),
        )
        return self.synthesis(rebuilt), rates


def up5(inputs: int, outputs: int) -> nn.ConvTranspose2d:
    """5x5 transposed convolution that doubles each side."""
    return nn.ConvTranspose2d(inputs, outputs, 5, stride=2, padding=2, output_padding=1)


def down5(inputs: int, outputs: int) -> nn.Conv2d:
    """5x5 convolution that halves each side."""
    return nn.Conv2d(inputs, outputs, 5, stride=2, padding=2)


@dataclass(frozen=True)
class Preset:
    """Widths of the `hyperprior` family: N transform channels, M latent channels.

    predicts_means: whether the hyperlatent gives the means of y too (Minnen et al. 2018) or only its scales
    (Balle et al. 2018).
    """

    transform_channels: int
    latent_channels: int
    predicts_means: bool = True


class Hyperprior(ScaleHyperprior):
    """Hyperprior with GDN transforms: four 5x5 stride-2 convolutions with GDN between, and hyper transforms of three.

    With means: Minnen et al. 2018, table 1 without the context column, which is `mbt2018_mean` of CompressAI. The hyper
    transforms have LeakyReLU (slope 0.01), and the last convolution of the hyper-synthesis emits the scales of all M
    channels first and their means after.

    Without: Balle et al. 2018, figure 4, which is `bmshj2018_hyperprior` of CompressAI. The hyper transforms have ReLU,
    and the hyper-analysis takes magnitudes. The ReLU that the paper puts after the scales is left out, because scales
    have a positive lower bound anyway.
    """

    FAMILY = "hyperprior"
    PRESETS: ClassVar = {"published": Preset(192, 320), "published-low": Preset(128, 192), "compact": Preset(48, 64)}

    def __init__(self, preset: Preset) -> None:
        super().__init__(preset)
        n, m = preset.transform_channels, preset.latent_channels
        self.latent_channels, self.hyperlatent_channels = m, n
        self.predicts_means = preset.predicts_means
        self.analysis = nn.Sequential(
            *(down5(3, n), GDN(n)),
            *(down5(n, n), GDN(n)),
            *(down5(n, n), GDN(n)),
            down5(n, m),
        )
        self.synthesis = nn.Sequential(
            *(up5(m, n), GDN(n, inverse=True)),
            *(up5(n, n), GDN(n, inverse=True)),
            *(up5(n, n), GDN(n, inverse=True)),
            up5(n, 3),
        )
        rectifier = nn.LeakyReLU if preset.predicts_means else nn.ReLU
        self.hyper_analysis = nn.Sequential(
            nn.Conv2d(m, n, 3, padding=1), rectifier(), down5(n, n), rectifier(), down5(n, n)
        )
        first, second, outputs = (m, m * 3 // 2, 2 * m) if preset.predicts_means else (n, n, m)
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

    def _half(self, half: int) -> nn.Sequential:
        """The hyper-synthesis with only one half of its last convolution's outputs."""
        *body, last = self.hyper_synthesis
        return nn.Sequential(*body, _OutputSlice(last, half * self.latent_channels, self.latent_channels))


class _OutputSlice(nn.Conv2d):
    """View of some output channels of a convolution; shares its parameters and their gradients."""

    def __init__(self, whole: nn.Conv2d, start: int, count: int) -> None:
        super().__init__(whole.in_channels, count, whole.kernel_size, padding=whole.padding, device="meta")
        del self.weight, self.bias
        self.weight = whole.weight[start : start + count]
        self.bias = whole.bias[start : start + count]
