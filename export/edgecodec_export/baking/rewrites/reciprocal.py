"""Reciprocal: d / sqrt(v) becomes d * (1 / sqrt(v)).

v has one channel and d many, so that one division is left where there was one for each channel.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edgecodec_export.baking.rewrites.replacing import replace_layers
from edgecodec_export.layers.normalisation import ChannelNorm


def reciprocal(network: nn.Module) -> None:
    """Let every channel norm of the network divide once at each position."""
    replace_layers(network, lambda layer: ReciprocalNorm(layer) if isinstance(layer, ChannelNorm) else None)


class ReciprocalNorm(nn.Module):
    """A channel norm outside training, with one division at each position."""

    def __init__(self, norm: ChannelNorm) -> None:
        super().__init__()
        self.norm = norm

    def forward(self, x: Tensor) -> Tensor:
        centred = self.centred(x)
        root = torch.sqrt(self.norm.variance(centred) + self.norm.epsilon)
        return centred * root.reciprocal() * self.norm.gamma + self.norm.beta

    def centred(self, x: Tensor) -> Tensor:
        """x without its mean over the channels."""
        return self.norm.centred(x)
