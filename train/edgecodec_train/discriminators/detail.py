"""A discriminator for short training, which is shown the picture's finest detail beside the picture and the latent."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from edgecodec_train.discriminators.base import Conditions, Discriminator, Inputs, Judgements, required
from edgecodec_train.discriminators.layers import SLOPE, LatentPlanes, judge, spectral_convolution
from edgecodec_train.discriminators.options import channel_counts


class DetailDiscriminator(Discriminator):
    """4x4 convolutions of stride 2, one 3x3 convolution, and a 1x1 convolution to the logits.

    The layers are this project's own; the latent comes in as in Mentzer et al. 2020, figure 2. Pictures have sides of 8
    or more, one logit for every 8 by 8 pixels.
    """

    # Gain of the detail that a 3x3 mean removes. It alone tells a blurred picture from a real one, but beside the large
    # values of a picture it is so small that a discriminator of normalised layers needs hundreds of steps to find it.
    DETAIL_GAIN = 8.0

    def __init__(self, inputs: Inputs, *, widths: Sequence[int] = (32, 64, 128, 128)) -> None:
        super().__init__()
        self.latent = LatentPlanes(inputs.latent.channels)
        layers: list[nn.Module] = []
        channels = 3 + 3 + LatentPlanes.FEATURES
        *strided, last = channel_counts(widths)
        for width in strided:
            layers.append(nn.Sequential(spectral_convolution(channels, width, 4, 2, 1), nn.LeakyReLU(SLOPE)))
            channels = width
        layers.append(nn.Sequential(spectral_convolution(channels, last, 3, 1, 1), nn.LeakyReLU(SLOPE)))
        # The last layer is not normalised: behind five that are, it has to move the logits away from zero.
        self.layers = nn.Sequential(*layers, nn.Conv2d(last, 1, 1))

    def forward(self, image: Tensor, conditions: Conditions) -> Judgements:
        latent = self.latent(required(conditions.latent, "latent"), image)
        detail = image - nn.functional.avg_pool2d(image, 3, 1, 1, count_include_pad=False)
        return (judge(self.layers, torch.cat([2 * image - 1, self.DETAIL_GAIN * detail, latent], 1)),)
