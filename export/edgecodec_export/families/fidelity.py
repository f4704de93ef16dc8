"""The fidelity-controllable codec (Iwai, Miyazaki, Sugaya, Omachi, ICPR 2020): a latent under a causal mixture model.

Layers and widths are those of the public code (iwa-shi/fidelity_controllable_compression).
Residual transforms with attention down to stride 16 and back, and a small network that predicts every position of the
latent from twelve positions decoded before it. Convolutions are zero padded, the leaky slope is 0.2. Shapes, for an
image of height H and width W whose sides are multiples of 16:

    image (B, 3, H, W) in [0, 1]     latent y (B, C, H/16, W/16)

Transforms work in [-1, 1]. A second decoder, trained for realism on the frozen encoder and context model, is mixed with
the first by network interpolation, the knob alpha: every parameter of the decoder is (1 - alpha) times the first's and
alpha times the second's, as they are stored.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgecodec_export.families.blocks import GDN, add_uniform_noise, gaussian_likelihood, round_straight_through
from edgecodec_export.families.codec import Latent, LearnedCodec
from edgecodec_export.families.hyperprior import Rates

SLOPE = 0.2  # of every leaky rectifier

# Where the likelihood stops following a falling deviation. So narrow a component is a step: where its mean lies exactly
# matters to the rate only within some hundredths of a half-integer. 0.11, which is usual under a hyperprior, would cost
# bits in channels that hardly move, because nothing pulls their means to integers.
DEVIATION_BOUND = 2.0**-6


# A fresh latent is this much larger than under PyTorch's own start, about two units: there, all of it rounds to zero,
# which teaches the decoder to ignore it.
FIRST_GAIN = 32.0


@dataclass(frozen=True)
class Preset:
    """Widths of one size.

    channels: of both transforms. context_channels: of the causal convolution and of the two layers after it.
    components: of the mixture.
    """

    channels: int
    latent_channels: int
    context_channels: tuple[int, int]
    components: int = 3


class Fidelity(LearnedCodec):
    """Encoder, context model and decoder at a preset's size."""

    FAMILY = "fidelity"
    PRESETS: ClassVar = {
        "published": Preset(192, 32, (384, 640)),
        "compact": Preset(56, 24, (128, 192)),
    }
    ALIGNMENT = 16
    PADDING = "grey"
    DECODER_PREFIXES = ("synthesis.",)

    def __init__(self, preset: Preset) -> None:
        super().__init__(preset)
        n, c = preset.channels, preset.latent_channels
        self.latent_channels = c
        self.analysis = nn.Sequential(
            _residual(3, n, stride=2, norm=GDN(n)),
            _residual(n, n, norm=GDN(n)),
            _residual(n, n, stride=2, norm=GDN(n)),
            Attention(n),
            _residual(n, n, norm=GDN(n)),
            _residual(n, n, stride=2, norm=GDN(n)),
            _residual(n, n, norm=GDN(n)),
            *(nn.Conv2d(n, n, 3, stride=2, padding=1), nn.LeakyReLU(SLOPE)),
            Attention(n),
            nn.Conv2d(n, c, 3, padding=1),
        )
        self.analysis[-1].weight.data *= FIRST_GAIN
        self.context = ContextModel(c, preset.context_channels, preset.components)
        self.synthesis = nn.Sequential(
            *(nn.Conv2d(c, n, 3, padding=1), nn.LeakyReLU(SLOPE)),
            Attention(n),
            _residual(n, n),
            ResidualUpsampling(n),
            _residual(n, n),
            ResidualUpsampling(n),
            Attention(n),
            _residual(n, n),
            ResidualUpsampling(n),
            _residual(n, n),
            *(nn.Conv2d(n, 12, 3, padding=1), nn.PixelShuffle(2), nn.Tanh()),
        )

    def encoder_latents(self) -> tuple[Latent, ...]:
        return (Latent("y", self.latent_channels, 16),)

    def encode(self, image: Tensor) -> tuple[Tensor, ...]:
        """y, rounded half to even; there is no mean to subtract."""
        return (torch.round(self.analysis(2 * image - 1)),)

    def decode(self, *latents: Tensor) -> Tensor:
        (y,) = latents
        return (self.synthesis(y) + 1) / 2

    def forward(self, image: Tensor) -> tuple[Tensor, Rates]:
        """Reconstruction from the rounded latent; rate in training of one with uniform noise, else of the rounded one.

        The noisy latent is both what is predicted and what it is predicted from.
        """
        y = self.analysis(2 * image - 1)
        rounded = round_straight_through(y)
        coded = add_uniform_noise(y) if self.training else rounded
        bits = -mixture_likelihood(coded, *self.context.mixture(coded)).log2().sum()
        return self.decode(rounded), Rates(latent=bits, hyperlatent=bits.new_zeros(()))


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
        _, deviation, _ = last.bias.data.view(components, 3, latent_channels).unbind(1)
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

        Channels of one position do not see each other. Deviations are at least 0, weights sum to 1 over K.
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


class ResidualBlock(nn.Module):
    """3x3, rectifier, 3x3, perhaps GDN, plus the identity, or a 1x1 convolution of it where the block has a stride."""

    def __init__(
        self, inputs: int, outputs: int, stride: int, rectifier: nn.Module, norm: nn.Module | None = None
    ) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, outputs, 3, stride, padding=1)
        self.rectifier = rectifier
        self.second = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.norm = norm or nn.Identity()
        self.shortcut = nn.Identity() if stride == 1 else StridedProjection(inputs, outputs, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.second(self.rectifier(self.first(x)))) + self.shortcut(x)


class StridedProjection(nn.Conv2d):
    """1x1 convolution with a stride, spelled in training as one without it of every so many pixels.

    PyTorch 2.13 on CPUs writes out of bounds in the gradient of the plain spelling, for 3 channels in channels-last.
    """

    def forward(self, input: Tensor) -> Tensor:
        if not self.training:
            return super().forward(input)
        down, across = self.stride
        return F.conv2d(input[:, :, ::down, ::across], self.weight, self.bias)


def _residual(inputs: int, outputs: int, stride: int = 1, norm: nn.Module | None = None) -> ResidualBlock:
    return ResidualBlock(inputs, outputs, stride, nn.LeakyReLU(SLOPE), norm)


class Attention(nn.Module):
    """x + main(x) * sigmoid(mask(x)), both branches of three residual blocks, the mask's with a 1x1 convolution after.

    It is the attention module of Liu et al. 2019 without its non-local part and without a change of resolution; the
    public code calls it NLAM all the same.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.main = nn.Sequential(*(ResidualBlock(channels, channels, 1, nn.ReLU()) for _ in range(3)))
        self.mask = nn.Sequential(*(ResidualBlock(channels, channels, 1, nn.ReLU()) for _ in range(3)))
        self.mask_projection = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.main(x) * torch.sigmoid(self.mask_projection(self.mask(x)))


class ResidualUpsampling(nn.Module):
    """Doubles each side by pixel shuffles: 3x3, rectifier, shuffle, 3x3, inverse GDN, plus a shuffled 1x1 shortcut.

    The shuffle comes after the rectifier, as in the public code.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, 4 * channels, 3, padding=1)
        self.rectifier = nn.LeakyReLU(SLOPE)
        self.shuffle = nn.PixelShuffle(2)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        self.norm = GDN(channels, inverse=True)
        self.shortcut = nn.Conv2d(channels, 4 * channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        body = self.norm(self.second(self.shuffle(self.rectifier(self.first(x)))))
        return body + self.shuffle(self.shortcut(x))
