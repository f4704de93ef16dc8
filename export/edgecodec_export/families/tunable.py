"""Tunable generative compression with an importance map (Wu, Huang, Shen 2020).

    image -> three-scale pyramid encoder -> omega (B, 16, H/8, W/8) -> nearest of 0..3 -> q
    omega, n -> masker -> how many of the first channels each position keeps, 1 to 16 -> mask
    symbols = mask * q, the only thing that is coded -> decoder -> image

One encoder serves every rate: n in [-2, 2] is its scalar input, and larger n keeps fewer channels. The decoder sees
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
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgecodec_export.families.blocks import nearest_level, soft_to_hard, static_code_bits
from edgecodec_export.families.codec import Latent, LearnedCodec
from edgecodec_export.families.hyperprior import Rates

LOWEST, LEVELS = 0, 4  # the quantisation centres 0..3
STRIDE = 8
SMALLEST_N, LARGEST_N = -2.0, 2.0


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
    PRESETS: ClassVar = {
        "published": Preset(),
        "compact": Preset((24, 48, 96), encoder_blocks=1, decoder_blocks=6),
    }
    ALIGNMENT = STRIDE
    SMALLEST_SIDE = 2 * STRIDE
    DECODER_PREFIXES = ("synthesis.",)

    def __init__(self, preset: Preset) -> None:
        super().__init__(preset)
        self.analysis = Pyramid(preset)
        self.masker = Masker(preset)
        self.synthesis = _synthesis(preset)

    def encoder_latents(self) -> tuple[Latent, ...]:
        return (Latent("symbols", self.preset.latent_channels, STRIDE),)

    def encode(self, image: Tensor, n: Tensor | float = 0.0) -> tuple[Tensor, ...]:
        """symbols (B, 16, H/8, W/8) in 0..3, 0 where masked. n: scalar in [-2, 2]."""
        omega = self.analysis(2 * image - 1)
        return (nearest_level(omega, LOWEST, LEVELS) * self.masker(omega, n),)

    def decode(self, *latents: Tensor) -> Tensor:
        (symbols,) = latents
        return (torch.tanh(self.synthesis(symbols)) + 1) / 2

    def forward(self, image: Tensor, n: Tensor | float = 0.0) -> tuple[Tensor, Rates]:
        """Training pass at `n`.

        Symbols are hard with the gradient of their soft assignment, and so is the rate. The paper's loss has no rate;
        `Rates.latent` is that of a static code per channel for the kept symbols. The mask has no gradient: what the
        map would learn first is to spread until n does nothing, since the error is least on average where every n
        keeps equally many channels.
        """
        # The nearest centre is the same as behind the ReLU, and silent channels have a gradient that can wake them.
        y = self.analysis.unrectified(2 * image - 1)
        q, soft = soft_to_hard(y, LOWEST, LEVELS)
        hard = F.one_hot(q.detach().round().long() - LOWEST, LEVELS).to(soft.dtype)
        with torch.no_grad():
            mask = self.masker(torch.relu(y), n)
        bits = static_code_bits(soft + (hard - soft).detach(), mask)
        return self.decode(q * mask), Rates(bits, y.new_zeros(()))


class Pyramid(nn.Module):
    """Image (B, 3, H, W) in [-1, 1] to omega (B, K, H/8, W/8), 0 or more."""

    WEIGHTS = (0.5, 0.25, 0.25)

    def __init__(self, preset: Preset) -> None:
        super().__init__()
        width = preset.widths[-1]
        self.branches = nn.ModuleList(
            _branch(preset.widths[omitted:], preset.encoder_blocks) for omitted in range(len(self.WEIGHTS))
        )
        # Without the last ReLU, which is below.
        self.omega = nn.Sequential(_same(width, width // 2), _same(width // 2, preset.latent_channels)[:-1])

    def forward(self, image: Tensor) -> Tensor:
        return torch.relu(self.unrectified(image))

    def unrectified(self, image: Tensor) -> Tensor:
        """omega before its ReLU."""
        scales = (image, F.avg_pool2d(image, 2), F.avg_pool2d(image, 4))
        branches = zip(self.WEIGHTS, self.branches, scales, strict=True)
        return self.omega(sum(weight * branch(scale) for weight, branch, scale in branches))


class Masker(nn.Module):
    """Importance map of omega, and the mask it gives at n."""

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

        The paper writes sd and calls it the variance.
        """
        y = self.importance(omega).float()
        mean = y.mean((2, 3), keepdim=True)
        variance = ((y - mean) ** 2).mean((2, 3), keepdim=True)
        return (y - (mean + n)) / torch.sqrt(variance.clamp_min(1e-12))

    def forward(self, omega: Tensor, n: Tensor | float) -> Tensor:
        """Mask (B, K, h, w): channel k of 1..K is 1 where sigmoid(standardised) >= (k - 1) / K.

        The sigmoid is gone from both sides: standardised >= logit((k - 1) / K), and channel 1 is always kept.
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


def _branch(widths: tuple[int, ...], blocks: int) -> nn.Sequential:
    """RGB to stride 2^len(widths): a halving and one residual block per width, `blocks` of them at the last."""
    stages: list[nn.Module] = [_activated(nn.Conv2d(3, widths[0], 5, stride=2, padding=2))]
    for before, after in pairwise(widths):
        stages += [ResidualBlock(before), _activated(nn.Conv2d(before, after, 4, stride=2, padding=1))]
    return nn.Sequential(*stages, *(ResidualBlock(widths[-1]) for _ in range(blocks)))


def _synthesis(preset: Preset) -> nn.Sequential:
    """Symbols (B, K, h, w) to RGB (B, 3, 8h, 8w) before the tanh."""
    narrow, middle, wide = preset.widths
    return nn.Sequential(
        _same(preset.latent_channels, wide // 2),
        _same(wide // 2, wide),
        *(ResidualBlock(wide) for _ in range(preset.decoder_blocks)),
        _activated(nn.ConvTranspose2d(wide, wide, 4, stride=2, padding=1)),
        _activated(nn.ConvTranspose2d(wide, middle, 4, stride=2, padding=1)),
        _activated(nn.ConvTranspose2d(middle, narrow, 5, stride=2, padding=2, output_padding=1)),
        nn.Conv2d(narrow, 3, 3, padding=1, padding_mode="reflect"),
    )


def _same(inputs: int, outputs: int) -> nn.Sequential:
    return _activated(nn.Conv2d(inputs, outputs, 3, padding=1))


def _activated(convolution: nn.Conv2d | nn.ConvTranspose2d) -> nn.Sequential:
    return nn.Sequential(convolution, _batch_norm(convolution.out_channels), nn.ReLU())


def _batch_norm(channels: int) -> nn.BatchNorm2d:
    """Stored statistics in evaluation mode."""
    return nn.BatchNorm2d(channels, eps=1e-4)
