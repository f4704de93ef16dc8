"""The discriminators of CRDR, which judge each rate level apart (Iwai et al. 2024).

The layers are those of a VGG network: for each width a 3x3 convolution of stride 1, then one of stride 2, and behind
them a 3x3 convolution to the logits. Nothing is normalised. The first two widths are the backbone, the rest the head;
either may be there once, or once for each level.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor, nn

from edgecodec_train.discriminators.base import Conditions, Discriminator, Inputs, Judgements, required
from edgecodec_train.discriminators.layers import SLOPE, judge
from edgecodec_train.discriminators.options import channel_counts

_BACKBONE_WIDTHS = 2


class ByLevelDiscriminator(Discriminator):
    """One logit for every 16 by 16 pixels with four widths.

    A level of its own network leaves the networks of other levels out of the pass, so these get no gradients. Where all
    is shared, the level comes in as planes beside the picture, one of them 1 and the others 0.
    """

    BACKBONE_PER_LEVEL: ClassVar[bool]
    HEAD_PER_LEVEL: ClassVar[bool]

    def __init__(self, inputs: Inputs, *, widths: Sequence[int] = (64, 128, 256, 512)) -> None:
        super().__init__()
        self.levels = inputs.levels
        self.planes = 0 if self.BACKBONE_PER_LEVEL or self.HEAD_PER_LEVEL else inputs.levels
        counts = (3 + self.planes, *channel_counts(widths))
        backbone, head = counts[: _BACKBONE_WIDTHS + 1], counts[_BACKBONE_WIDTHS:] or counts[-1:]
        self.backbones = nn.ModuleList(
            nn.Sequential(*_layers(backbone)) for _ in range(inputs.levels if self.BACKBONE_PER_LEVEL else 1)
        )
        self.heads = nn.ModuleList(
            nn.Sequential(*_layers(head), nn.Conv2d(head[-1], 1, 3, 1, 1))
            for _ in range(inputs.levels if self.HEAD_PER_LEVEL else 1)
        )

    def forward(self, image: Tensor, conditions: Conditions) -> Judgements:
        """Raises ValueError for a level that the codec does not have."""
        level = required(conditions.level, "rate level")
        if level not in range(self.levels):
            raise ValueError(f"rate level {level}, and the codec has {self.levels}")
        x = 2 * image - 1
        if self.planes:
            planes = x.new_zeros(len(x), self.planes, *x.shape[2:])
            planes[:, level] = 1
            x = torch.cat([x, planes], 1)
        backbone = self.backbones[level if self.BACKBONE_PER_LEVEL else 0]
        head = self.heads[level if self.HEAD_PER_LEVEL else 0]
        return (judge((*backbone.children(), *head.children()), x),)


class IndependentDiscriminator(ByLevelDiscriminator):
    """A network for each level; CRDR was trained with it."""

    BACKBONE_PER_LEVEL = HEAD_PER_LEVEL = True


class SharedDiscriminator(ByLevelDiscriminator):
    """One network, which is told the level."""

    BACKBONE_PER_LEVEL = HEAD_PER_LEVEL = False


class HybridHeadDiscriminator(ByLevelDiscriminator):
    """One backbone, and a head for each level."""

    BACKBONE_PER_LEVEL, HEAD_PER_LEVEL = False, True


class HybridBackboneDiscriminator(ByLevelDiscriminator):
    """A backbone for each level, and one head."""

    BACKBONE_PER_LEVEL, HEAD_PER_LEVEL = True, False


def _layers(counts: Sequence[int]) -> list[nn.Module]:
    """Two layers for each step from a channel count to the next."""
    layers: list[nn.Module] = []
    for channels, width in pairwise(counts):
        layers.append(nn.Sequential(nn.Conv2d(channels, width, 3, 1, 1), nn.LeakyReLU(SLOPE)))
        layers.append(nn.Sequential(nn.Conv2d(width, width, 3, 2, 1), nn.LeakyReLU(SLOPE)))
    return layers
