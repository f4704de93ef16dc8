"""The discriminator of HiFiC, which looks at the latent beside the picture (Mentzer et al. 2020, A.1 and figure 2)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from edgecodec_train.discriminators.base import Conditions, Discriminator, Inputs, Judgements, required
from edgecodec_train.discriminators.layers import SLOPE, LatentPlanes, judge, spectral_convolution
from edgecodec_train.discriminators.options import channel_counts


class ConditionalDiscriminator(Discriminator):
    """4x4 convolutions, of stride 2 but for the last, and a 1x1 convolution to the logits; all with spectral norm.

    Pictures have sides of 8 or more, one logit for every 8 by 8 pixels. At stride 1 the padding is TensorFlow's "SAME",
    so maps keep their size. The authors' code has a 4x4 kernel in place of the 1x1.
    """

    def __init__(self, inputs: Inputs, *, widths: Sequence[int] = (64, 128, 256, 512)) -> None:
        super().__init__()
        self.latent = LatentPlanes(inputs.latent.channels)
        layers: list[nn.Module] = []
        channels = 3 + LatentPlanes.FEATURES
        *strided, last = channel_counts(widths)
        for width in strided:
            layers.append(nn.Sequential(spectral_convolution(channels, width, 4, 2, 1), nn.LeakyReLU(SLOPE)))
            channels = width
        same = nn.ZeroPad2d((1, 2, 1, 2))
        layers.append(nn.Sequential(same, spectral_convolution(channels, last, 4), nn.LeakyReLU(SLOPE)))
        self.layers = nn.Sequential(*layers, spectral_convolution(last, 1, 1))

    def forward(self, image: Tensor, conditions: Conditions) -> Judgements:
        latent = self.latent(required(conditions.latent, "latent"), image)
        return (judge(self.layers, torch.cat([2 * image - 1, latent], 1)),)
