"""Conditioned layers at a fixed quality and realism, which become constants in them.

At a fixed quality, channel attention is an affine map of each channel. At a fixed beta, a residual unit with realism
keeps one vector, added in front of a zero-padded convolution, past which nothing can be moved without changing the
borders.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator

import torch.nn.functional as F
from torch import Tensor, nn

from edgecodec_export.baking.affine import AffineMap
from edgecodec_export.layers.conditioning import (
    Conditioning,
    InterpolatedChannelAttention,
    RealismResidualUnit,
    Transform,
)
from edgecodec_export.layers.convolutions import bias_of
from edgecodec_export.layers.residual import ResidualUnit


class OffsetResidualUnit(ResidualUnit):
    """Residual unit with a constant vector (1, bottleneck, 1, 1) in front of its 3x3 convolution."""

    offset: Tensor

    def __init__(self, unit: RealismResidualUnit, embedding: Tensor) -> None:
        channels, bottleneck = unit.enter.in_channels, unit.enter.out_channels
        super().__init__(channels, bottleneck)
        self.to(unit.enter.weight.dtype)
        self.load_state_dict({name: value for name, value in unit.state_dict().items() if name in self.state_dict()})
        self.register_buffer("offset", unit.entered(embedding))
        # What beta adds behind the 3x3 convolution meets only the 1x1 after it, where nothing is padded.
        bias = bias_of(self.leave)
        bias += self.leave.weight.flatten(1) @ unit.within(embedding).flatten()
        bias += unit.left(embedding).flatten()

    def forward(self, x: Tensor) -> Tensor:
        features = F.relu(self.enter(x))
        features = features + self.offset.to(features.dtype)
        update: Tensor = self.leave(F.relu(self.inside(features)))
        return x + update


def fixed(transform: Transform, conditioning: Conditioning) -> Iterator[nn.Module]:
    """Copies of the layers in double precision, one after the other, with all that is conditioned as constants."""
    for layer in transform:
        if isinstance(layer, Transform):
            yield from fixed(layer, conditioning)
            continue
        precise = copy.deepcopy(layer).double()
        if isinstance(precise, InterpolatedChannelAttention):
            yield AffineMap(*precise.at(conditioning.quality))
        elif isinstance(precise, RealismResidualUnit):
            assert conditioning.embedding is not None
            yield OffsetResidualUnit(precise, conditioning.embedding.double())
        else:
            yield precise
