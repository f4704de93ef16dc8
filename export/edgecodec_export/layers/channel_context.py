"""A context over channel slices (Minnen and Singh 2020): each slice of a latent is predicted from those before it."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from edgecodec_export.layers.precision import EndsInFloat32


class Slice(NamedTuple):
    """One slice of the latent, each field (B, M / slices, h, w).

    symbols: the integers that are coded. scale: as the network gives it, not yet bounded from below.
    residual: prediction of the rounding error, in (-0.5, 0.5). y_hat = symbols + mean + residual.
    """

    symbols: Tensor
    mean: Tensor
    scale: Tensor
    residual: Tensor
    y_hat: Tensor


class ChannelContext(nn.Module):
    """Three networks for each slice, of convolutions and rectifiers only.

    `mean` and `scale` take the features of their own hyper-synthesis and the supporting slices. `residual`, the latent
    residual prediction (`lrp` in the public code of CRDR), takes what `mean` takes and the rounded slice itself, and
    gives the rounding error before its tanh.
    """

    def __init__(self, latent_channels: int, slices: int, supports: int, hidden: tuple[int, int]) -> None:
        """supports: most earlier slices that a slice depends on; they are the first ones, not the latest.

        hidden: the two inner widths of each network.
        """
        super().__init__()
        self.supports = supports
        width = latent_channels // slices
        inputs = [latent_channels + width * min(i, supports) for i in range(slices)]
        self.mean = nn.ModuleList(_context_network(count, hidden, width) for count in inputs)
        self.scale = nn.ModuleList(_context_network(count, hidden, width) for count in inputs)
        self.residual = nn.ModuleList(_context_network(count + width, hidden, width) for count in inputs)

    def network(self, use: Literal["mean", "scale", "residual"], i: int) -> nn.Sequential:
        """The one of slice i."""
        network = getattr(self, use)[i]
        assert isinstance(network, nn.Sequential)
        return network

    def walk(self, mean_features: Tensor, scale_features: Tensor) -> ContextWalk:
        """Start before the first slice. Both features are (B, M, h, w)."""
        return ContextWalk(self, mean_features, scale_features)


class ContextWalk:
    """Predicts slice after slice from those decoded before: `predict`, then `append`, for each in turn."""

    def __init__(self, context: ChannelContext, mean_features: Tensor, scale_features: Tensor) -> None:
        self.context, self.mean_features, self.scale_features = context, mean_features, scale_features
        self.decoded: list[Tensor] = []

    def predict(self) -> tuple[Tensor, Tensor]:
        """Mean and unbounded scale of the next slice."""
        i = len(self.decoded)
        mean = self.context.mean[i](self._with_supports(self.mean_features))
        return mean, self.context.scale[i](self._with_supports(self.scale_features))

    def append(self, rounded: Tensor) -> Tensor:
        """Add the slice symbols + mean, corrected; returns the correction."""
        network = self.context.residual[len(self.decoded)]
        residual = 0.5 * torch.tanh(network(torch.cat([self._with_supports(self.mean_features), rounded], 1)))
        self.decoded.append(rounded + residual)
        return residual

    def _with_supports(self, features: Tensor) -> Tensor:
        return torch.cat([features, *self.decoded[: self.context.supports]], 1)


def _context_network(inputs: int, hidden: tuple[int, int], outputs: int) -> nn.Sequential:
    return EndsInFloat32(
        nn.Conv2d(inputs, hidden[0], 5, padding=2),
        nn.ReLU(),
        nn.Conv2d(hidden[0], hidden[1], 5, padding=2),
        nn.ReLU(),
        nn.Conv2d(hidden[1], outputs, 3, padding=1),
    )
