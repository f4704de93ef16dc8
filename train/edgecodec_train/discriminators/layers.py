"""Layers that several discriminators share."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from edgecodec_train.discriminators.base import Judgement

SLOPE = 0.2  # of every leaky ReLU, for inputs below 0


def judge(layers: Iterable[nn.Module], x: Tensor, weight: float = 1.0) -> Judgement:
    """Run layers of which the last gives the logits, and each of the others ends in an activation and is a feature."""
    maps: list[Tensor] = []
    for layer in layers:
        x = layer(x)
        maps.append(x)
    *features, logits = maps
    return Judgement(logits, tuple(features), weight)


class _Convolution(nn.Conv2d):
    """A convolution that autocast does not look into: whatever computes its weight works in float32.

    Spectral norm multiplies a product of matrices, which autocast would round on a GPU, with a vector, which it would
    not, and PyTorch refuses the mixture.
    """

    def forward(self, input: Tensor) -> Tensor:
        with torch.autocast(input.device.type, enabled=False):
            weight = self.weight
        return self._conv_forward(input, weight, self.bias)


def spectral_convolution(inputs: int, outputs: int, kernel: int, stride: int = 1, padding: int = 0) -> nn.Module:
    """A convolution whose weight is divided by its largest singular value (Miyato et al. 2018)."""
    return spectral_norm(_Convolution(inputs, outputs, kernel, stride, padding))


class LatentPlanes(nn.Module):
    """Planes of the picture's size from the latent (Mentzer et al. 2020, figure 2).

    3x3 convolution with spectral norm, leaky ReLU, nearest neighbours.
    """

    FEATURES = 12

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.convolution = spectral_convolution(channels, self.FEATURES, 3, padding=1)
        self.activation = nn.LeakyReLU(SLOPE)

    def forward(self, latent: Tensor, image: Tensor) -> Tensor:
        """(B, M, h, w) latent and the picture (B, 3, H, W) that it codes to planes (B, FEATURES, H, W)."""
        features = self.activation(self.convolution(latent))
        return nn.functional.interpolate(features, image.shape[2:])


def one_hot_labels(labels: Tensor, classes: int) -> Tensor:
    """Class numbers (B, 1, H, W) as planes (B, classes, H, W) of 0 and 1."""
    numbers = torch.arange(classes, device=labels.device, dtype=labels.dtype)
    return (labels == numbers.view(1, -1, 1, 1)).to(labels.dtype)
