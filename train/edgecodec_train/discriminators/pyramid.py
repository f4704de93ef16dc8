"""The discriminator of Wu et al. 2020, which weighs three scales of the picture."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from edgecodec_train.discriminators.base import Conditions, Discriminator, Inputs, Judgement, Judgements
from edgecodec_train.discriminators.layers import SLOPE, judge, spectral_convolution
from edgecodec_train.discriminators.options import channel_counts, one_of


class PyramidDiscriminator(Discriminator):
    """The scales, their weights and leaky ReLU are the paper's. It leaves the layers of a scale open; these are ours.

    4x4 convolutions of stride 2, the same for each scale with weights of their own, and a 1x1 convolution to the
    logits. norm: "spectral" for all but the last, which has to move the logits away from zero, or "none". Pictures have
    sides of 32 or more with three widths, so that the smallest scale leaves a logit.
    """

    WEIGHTS = (1 / 2, 1 / 4, 1 / 4)  # of the picture, its half and its quarter

    def __init__(self, inputs: Inputs, *, widths: Sequence[int] = (64, 128, 256), norm: str = "spectral") -> None:
        super().__init__()
        counts = channel_counts(widths)
        convolution = spectral_convolution if one_of("norm", norm, ("spectral", "none")) == "spectral" else nn.Conv2d
        self.scales = nn.ModuleList()
        for _ in self.WEIGHTS:
            stack: list[nn.Module] = []
            for channels, width in pairwise((3, *counts)):
                stack.append(nn.Sequential(convolution(channels, width, 4, 2, 1), nn.LeakyReLU(SLOPE)))
            self.scales.append(nn.Sequential(*stack, nn.Conv2d(counts[-1], 1, 1)))

    def forward(self, image: Tensor, conditions: Conditions) -> Judgements:
        x = 2 * image - 1
        judgements: list[Judgement] = []
        for i, (layers, weight) in enumerate(zip(self.scales, self.WEIGHTS, strict=True)):
            if i:
                x = nn.functional.avg_pool2d(x, 2)
            judgements.append(judge(layers.children(), x, weight))
        return tuple(judgements)
