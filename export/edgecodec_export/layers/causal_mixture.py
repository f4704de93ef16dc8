"""A causal mixture: each value of a latent is predicted, as a Gaussian mixture, from positions decoded before it."""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgecodec_export.layers.convolutions import bias_of
from edgecodec_export.layers.densities import gaussian_likelihood

SLOPE = 0.2  # of the leaky rectifiers

# Where the likelihood stops following a falling deviation. So narrow a component is a step: where its mean lies exactly
# matters to the rate only within some hundredths of a half-integer. 0.11, which is usual under a hyperprior, would cost
# bits in channels that hardly move, because nothing pulls their means to integers.
DEVIATION_BOUND = 2.0**-6


class ContextModel(nn.Module):
    """A Gaussian mixture for every latent value, from the twelve nearest positions before it in raster order.

    The published network starts with a convolution of 3 rows and 5 columns, masked from its centre on (`mask_conv1`).
    Over the neighbours gathered side by side that is a 1x1 convolution, and so are the three layers that follow (`c1`
    to `c3`).
    """

    #: The neighbours, as (rows up, columns right), in the order in which `gather` lays them out.
    taps: ClassVar[tuple[tuple[int, int], ...]] = (
        *((2, column) for column in range(-2, 3)),
        *((1, column) for column in range(-2, 3)),
        *((0, column) for column in range(-2, 0)),
    )

    def __init__(self, latent_channels: int, channels: tuple[int, int], components: int) -> None:
        super().__init__()
        self.components = components
        first, second = channels
        last = nn.Conv2d(second, 3 * components * latent_channels, 1)
        # Deviations start near one: a component far narrower than its distance to a value has no gradient.
        _, deviation, _ = bias_of(last).data.view(components, 3, latent_channels).unbind(1)
        deviation += 1
        self.network = nn.Sequential(
            *(nn.Conv2d(len(self.taps) * latent_channels, first, 1), nn.LeakyReLU(SLOPE)),
            *(nn.Conv2d(first, second, 1), nn.LeakyReLU(SLOPE)),
            *(nn.Conv2d(second, second, 1), nn.LeakyReLU(SLOPE)),
            last,
        )

    def context_network(self) -> nn.Sequential:
        """Gathered neighbours (B, 12 C, h, w) to (B, 3 K C, h, w), with 1x1 convolutions and leaky rectifiers only.

        Channels of the result: component by component the C means, the C deviations before their absolute value, and
        the C logits of the weights.
        """
        return self.network

    def gather(self, y: Tensor) -> Tensor:
        """(B, C, h, w) latent to the neighbours of each position (B, 12 C, h, w), zero outside the picture.

        Channel tap * C + c is channel c at `taps[tap]`.
        """
        height, width = y.shape[2:]
        up, aside = 2, 2
        padded = F.pad(y, (aside, aside, up, 0))
        shifted = [
            padded[:, :, up - row : up - row + height, aside + column : aside + column + width]
            for row, column in self.taps
        ]
        return torch.cat(shifted, 1)

    def mixture(self, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Means, standard deviations and weights (B, K, C, h, w) of the mixture at each position of y (B, C, h, w).

        Channels of one position do not depend on each other. Deviations are at least 0, weights sum to 1 over K.
        """
        batch, channels, height, width = y.shape
        shape = (batch, self.components, 3, channels, height, width)
        means, deviations, logits = self.context_network()(self.gather(y)).reshape(shape).unbind(2)
        return means, deviations.abs(), logits.softmax(1)


def mixture_likelihood(y: Tensor, means: Tensor, scales: Tensor, weights: Tensor) -> Tensor:
    """Probability (B, C, h, w), at least 1e-9, of the unit interval around y under a mixture of Gaussians.

    means, scales, weights: (B, K, C, h, w) as `ContextModel.mixture` gives them; scales act as max(scale, 2^-6).
    """
    return (weights * gaussian_likelihood(y[:, None] - means, scales, DEVIATION_BOUND)).sum(1)
