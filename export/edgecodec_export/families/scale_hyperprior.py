"""The scale hyperprior: the entropy model of HiFiC and of the family `hyperprior`.

Balle et al. 2018 (scales only) and Minnen et al. 2018 without context (mean and scale). Shapes, for an image of
height H and width W whose sides are multiples of 64:

    image (B, 3, H, W) in [0, 1]     latent y (B, M, H/16, W/16)     hyperlatent z (B, N, H/64, W/64)

z is coded as round(z - median) with one table per channel; y as r = round(y - mean(z)) with one of 64 Gaussian
tables, chosen by the scale network alone. Only that network has to be exact at both ends.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from edgecodec.description import Knobs, LatentSpec
from edgecodec_export.baking import NOTHING, Asked, Baking, Knob
from edgecodec_export.baking.interpolation import ALPHA, Interpolation
from edgecodec_export.entropy.freezers.scale_hyperprior import ScaleHyperpriorFreezer
from edgecodec_export.families.codec import NO_SIDE_INPUTS, DecoderInput, LearnedCodec, Rates, Reconstruction
from edgecodec_export.layers.densities import FactorizedDensity, gaussian_likelihood, logistic_likelihood
from edgecodec_export.layers.gradients import add_uniform_noise, round_straight_through
from edgecodec_export.layers.precision import at_least_float32, without_autocast

LATENT_STRIDE = 16
HYPERLATENT_STRIDE = 64


class ScaleHyperprior(LearnedCodec):
    """Any codec with a scale hyperprior; the subclass supplies the transforms.

    A subclass assigns `analysis`, `synthesis`, `hyper_analysis` and `density`, and defines `mean` and
    `scale_network`. Image values are in [0, 1] on both sides.
    """

    ALIGNMENT = HYPERLATENT_STRIDE  # so that z covers the picture
    KNOBS: ClassVar[tuple[Knob, ...]] = (ALPHA,)
    DECODER_PREFIXES = ("synthesis.",)

    analysis: nn.Module
    synthesis: nn.Module
    hyper_analysis: nn.Module
    density: FactorizedDensity
    latent_channels: int
    hyperlatent_channels: int

    #: Density of r, whose tables the scales choose between.
    likelihood: Literal["gaussian", "logistic"] = "gaussian"

    def encoder_latents(self) -> tuple[LatentSpec, ...]:
        """z, which is coded first, and r."""
        return (
            LatentSpec("z", self.hyperlatent_channels, HYPERLATENT_STRIDE),
            LatentSpec("r", self.latent_channels, LATENT_STRIDE),
        )

    def encode(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 3, H, W) in [0, 1] to the symbols of z and r."""
        z_symbols, residual, _ = self.quantise(self.analysis(image))
        return z_symbols, residual

    def decode(self, z_symbols: Tensor, residual: Tensor) -> Tensor:
        """The symbols to (B, 3, H, W), about [0, 1]."""
        picture: Tensor = self.synthesis(self.rebuild(z_symbols, residual))
        return picture

    def mean(self, z: Tensor) -> Tensor | None:
        """(B, N, h, w) hyperlatent to the (B, M, 4h, 4w) mean of y, or None where means are zero."""
        raise NotImplementedError

    def scale_network(self) -> nn.Sequential:
        """The layers from z to the raw scale of y: convolutions and rectifiers only, ready to be made integer."""
        raise NotImplementedError

    def hyper_input(self, y: Tensor) -> Tensor:
        """The input of the hyper-analysis for a latent."""
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

    def forward(self, image: Tensor) -> Reconstruction:
        """Reconstruction from rounded latents; rates in training from latents with uniform noise, else rounded ones.

        Rounding with a straight-through gradient on the way to the pixels and noise on the way to the rate is the
        mixed scheme of Minnen and Singh 2020, section 3.2.
        """
        y = self.analysis(image)
        with without_autocast(y):
            rebuilt, rates, bits = self._coded(at_least_float32(y))
        return Reconstruction(self.synthesis(rebuilt), rates, bits, rebuilt)

    def _coded(self, y: Tensor) -> tuple[Tensor, Rates, Tensor]:
        """The latent that a decoder rebuilds, its rates with a gradient, and the bits of the rounded latents."""
        z = self.hyper_analysis(self.hyper_input(y))
        medians = self.density.medians.reshape(1, -1, 1, 1)
        z_rounded = round_straight_through(z - medians, self.round) + medians
        z_noisy = add_uniform_noise(z) if self.training else z_rounded
        mean = self.mean(z_rounded)
        residual = y if mean is None else y - mean
        rounded = round_straight_through(residual, self.round)
        noisy = add_uniform_noise(residual) if self.training else rounded
        rebuilt = rounded if mean is None else rounded + mean
        scale = self.scale_network()(z_rounded)
        rates = self._rates(noisy, scale, z_noisy)
        with torch.no_grad():
            bits = self._rates(rounded, scale, z_rounded).total() if self.training else rates.total()
        return rebuilt, rates, bits

    def _rates(self, residual: Tensor, scale: Tensor, z: Tensor) -> Rates:
        likelihood = gaussian_likelihood if self.likelihood == "gaussian" else logistic_likelihood
        return Rates(-likelihood(residual, scale).log2().sum(), -self.density.likelihood(z).log2().sum())

    def baking(self, asked: Asked = NOTHING, mse: LearnedCodec | None = None) -> Baking:
        return Interpolation(self, asked, mse)

    def freezer(self) -> ScaleHyperpriorFreezer:
        return ScaleHyperpriorFreezer(self)

    @torch.no_grad()
    def decoder_input(self, image: Tensor, knobs: Knobs, side: Mapping[str, Tensor] = NO_SIDE_INPUTS) -> DecoderInput:
        """The symbols of z and r, and beside the picture the latent y that they rebuild."""
        latents = self.encode(image)
        return DecoderInput(latents, self.rebuild(*latents), {})
