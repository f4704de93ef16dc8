"""Layers that depend on a quality, or on a realism besides, and the row of layers that hands both on (CRDR)."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgecodec_export.layers.residual import ResidualUnit

LARGEST_BETA = 5.12
BETA_FREQUENCIES = 10


class Conditioning(NamedTuple):
    """The inputs of conditioned layers: the quality, and the embedding of beta where there is one."""

    quality: float
    embedding: Tensor | None = None


class Transform(nn.Sequential):
    """Layers in a row, some of which depend on the conditioning."""

    def forward(self, x: Tensor, conditioning: Conditioning) -> Tensor:  # type: ignore[override]
        for layer in self:
            depends = isinstance(layer, (Transform, InterpolatedChannelAttention, RealismResidualUnit))
            x = layer(x, conditioning) if depends else layer(x)
        return x


class InterpolatedChannelAttention(nn.Module):
    """Scale and shift of every channel, one pair for each trained rate: the ICA of the paper, `interp_ca` of the code.

    Between two rates the stored values are interpolated; softplus, which keeps scales positive, comes after.
    """

    def __init__(self, levels: int, channels: int) -> None:
        super().__init__()
        identity = math.log(math.e - 1)  # softplus makes 1 of it
        self.weight = nn.Parameter(torch.full((levels, channels, 1, 1), identity))
        self.bias = nn.Parameter(torch.zeros(levels, channels, 1, 1))

    def at(self, quality: float) -> tuple[Tensor, Tensor]:
        """(1, channels, 1, 1) scale and shift at a quality from 0 to levels - 1."""
        below = math.floor(quality)
        above, share = min(below + 1, len(self.weight) - 1), quality - below
        weight, bias = (torch.lerp(stored[[below]], stored[[above]], share) for stored in (self.weight, self.bias))
        return F.softplus(weight), bias

    def forward(self, x: Tensor, conditioning: Conditioning) -> Tensor:
        scale, shift = self.at(conditioning.quality)
        return scale * x + shift


class RealismResidualUnit(ResidualUnit):
    """Residual unit to which beta adds a vector after each of its three steps."""

    def __init__(self, channels: int, bottleneck: int, realism_channels: int) -> None:
        super().__init__(channels, bottleneck)
        self.entered = nn.Conv2d(realism_channels, bottleneck, 1)
        self.within = nn.Conv2d(realism_channels, bottleneck, 1)
        self.left = nn.Conv2d(realism_channels, channels, 1)

    def forward(self, x: Tensor, conditioning: Conditioning) -> Tensor:  # type: ignore[override]
        features = F.relu(self.enter(x)) + self.entered(conditioning.embedding)
        features = F.relu(self.inside(features)) + self.within(conditioning.embedding)
        update: Tensor = self.leave(features)
        return x + update + self.left(conditioning.embedding)


class RealismEmbedding(nn.Module):
    """beta to the vector that residual units take: sines and cosines of doubling frequency, then two layers.

    The lowest frequency has angles from -1 to 1, without a factor of pi: `use_pi: False` of the public configuration.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(2 * BETA_FREQUENCIES, channels), nn.ReLU(), nn.Linear(channels, channels))

    def forward(self, beta: float) -> Tensor:
        """(1, channels, 1, 1)"""
        frequencies = 2.0 ** torch.arange(BETA_FREQUENCIES, dtype=torch.float64)
        angles = (2 * beta / LARGEST_BETA - 1) * frequencies
        features = torch.cat([angles.sin(), angles.cos()]).to(next(self.parameters()))
        embedding: Tensor = self.layers(features)
        return embedding.reshape(1, -1, 1, 1)
