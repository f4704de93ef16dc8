"""Normalisation that acts at each position alone, so that it can be computed in tiles."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgecodec_export.layers.gradients import lower_bound


class ChannelNorm(nn.Module):
    """Normalise every pixel over its channels (Mentzer et al. 2020, section 4.1).

    The variance is the unbiased one (N - 1) and epsilon sits inside the root. The statistics are per pixel, so
    the layer works on any tile. Two spellings of one formula: the fused layer norm while training, and otherwise an
    explicit one, whose channel means are 1x1 convolutions because channel reductions are slow on engines.
    """

    def __init__(self, channels: int, epsilon: float = 1e-3) -> None:
        super().__init__()
        self.epsilon = epsilon
        self.gamma = nn.Parameter(torch.ones(1, channels, 1, 1))
        self.beta = nn.Parameter(torch.zeros(1, channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            centred = self.centred(x)
            return centred / torch.sqrt(self.variance(centred) + self.epsilon) * self.gamma + self.beta
        channels = x.shape[1]
        unbiased = _unbiased(channels)
        normalised = F.layer_norm(
            x.permute(0, 2, 3, 1),
            (channels,),
            (self.gamma * unbiased**-0.5).flatten(),
            self.beta.flatten(),
            self.epsilon / unbiased,
        )
        return normalised.permute(0, 3, 1, 2)

    def centred(self, x: Tensor) -> Tensor:
        """(B, channels, H, W) without its mean at every pixel."""
        return x - F.conv2d(x, _average(x))

    def variance(self, centred: Tensor) -> Tensor:
        """(B, 1, H, W) of what has mean 0 at every pixel."""
        return F.conv2d(centred * centred, _average(centred) * _unbiased(centred.shape[1]))


def _average(x: Tensor) -> Tensor:
    """The filter of the mean over the channels of x."""
    channels = x.shape[1]
    return x.new_full((1, channels, 1, 1), 1.0 / channels)


def _unbiased(channels: int) -> float:
    """The factor from a mean of squares to the unbiased variance."""
    return channels / (channels - 1)


class GDN(nn.Module):
    """Generalised divisive normalisation and its approximate inverse (Balle et al. 2016, equations 2 and 3).

    The stored parameters are square roots: effective value = max(stored, bound)^2 - 2^-36. It is the stored values
    that network interpolation mixes, so they are what the state dict holds.
    """

    PEDESTAL = 2.0**-36

    def __init__(self, channels: int, inverse: bool = False) -> None:
        super().__init__()
        self.inverse = inverse
        self.beta = nn.Parameter(torch.sqrt(torch.ones(channels) + self.PEDESTAL))
        self.gamma = nn.Parameter(torch.sqrt(0.1 * torch.eye(channels) + self.PEDESTAL))

    def forward(self, x: Tensor) -> Tensor:
        channels = x.shape[1]
        beta = lower_bound(self.beta, math.sqrt(1e-6 + self.PEDESTAL)) ** 2 - self.PEDESTAL
        gamma = lower_bound(self.gamma, math.sqrt(self.PEDESTAL)) ** 2 - self.PEDESTAL
        energy = F.conv2d(x * x, gamma.reshape(channels, channels, 1, 1), beta)
        return x * torch.sqrt(energy) if self.inverse else x / torch.sqrt(energy)
