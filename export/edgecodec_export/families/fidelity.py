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

from edgecodec.description import LatentSpec
from edgecodec_export.baking import NOTHING, Asked, Baking, Knob
from edgecodec_export.baking.interpolation import ALPHA, Interpolation
from edgecodec_export.entropy.freezers.mixture import MixtureFreezer
from edgecodec_export.families.codec import LearnedCodec, Rates, Reconstruction
from edgecodec_export.layers.causal_mixture import SLOPE, ContextModel, mixture_likelihood
from edgecodec_export.layers.convolutions import bias_of
from edgecodec_export.layers.gradients import add_uniform_noise, round_straight_through
from edgecodec_export.layers.initial_transform import (
    ATTENTION,
    INVERSE_TANH,
    SPARE,
    layers_of,
    principal_blocks,
    zero_output,
)
from edgecodec_export.layers.normalisation import GDN
from edgecodec_export.layers.precision import EndsInFloat32, without_autocast

# A fresh latent is this much larger than under PyTorch's own start, about two units: there, all of it rounds to zero,
# which teaches the decoder to ignore it.
FIRST_GAIN = 32.0

# Initial transform.
RIDGE = 1.0  # of the linear prediction, in squared rounding steps: few photographs measure many neighbours
LATENT_GAIN = 1.5  # of an orthonormal transform, for pictures in [-1, 1] and a rounding step of 1
# Each stage is half of an orthonormal map: brightness keeps its size, and no norm gets large values.
HALF = 0.5


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
    PAPER = (
        "the fidelity-controllable codec (Iwai, Miyazaki, Sugaya, Omachi: Fidelity-Controllable Extreme Image "
        "Compression with Generative Adversarial Networks, 2020)"
    )
    PRESETS: ClassVar = {
        "published": Preset(192, 32, (384, 640)),
        "compact": Preset(56, 24, (128, 192)),
    }
    KNOBS: ClassVar[tuple[Knob, ...]] = (ALPHA,)
    ALIGNMENT = 16
    PADDING = "grey"
    DECODER_PREFIXES = ("synthesis.",)

    def __init__(self, preset: Preset) -> None:
        super().__init__(preset)
        n, c = preset.channels, preset.latent_channels
        self.latent_channels = c
        self.analysis = EndsInFloat32(
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
        *_, to_latent = layers_of(nn.Conv2d, self.analysis)
        to_latent.weight.data *= FIRST_GAIN
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

    def encoder_latents(self) -> tuple[LatentSpec, ...]:
        return (LatentSpec("y", self.latent_channels, 16),)

    def encode(self, image: Tensor) -> tuple[Tensor, ...]:
        """y, rounded half to even; there is no mean to subtract."""
        return (torch.round(self.analysis(2 * image - 1)),)

    def decode(self, y: Tensor) -> Tensor:
        picture: Tensor = self.synthesis(y)
        return (picture + 1) / 2

    def forward(self, image: Tensor) -> Reconstruction:
        """Reconstruction from the rounded latent; rate in training of one with uniform noise, else of the rounded one.

        Each position of the noisy latent is predicted from noisy positions before it.
        """
        y = self.analysis(2 * image - 1)
        rounded = round_straight_through(y)
        coded = add_uniform_noise(y) if self.training else rounded
        with without_autocast(y):
            bits = self._bits(coded)
            with torch.no_grad():
                rounded_bits = self._bits(rounded) if self.training else bits
        return Reconstruction(self.decode(rounded), Rates(bits, bits.new_zeros(())), rounded_bits, rounded)

    def _bits(self, y: Tensor) -> Tensor:
        return -mixture_likelihood(y, *self.context.mixture(y)).log2().sum()

    def baking(self, asked: Asked = NOTHING, mse: LearnedCodec | None = None) -> Baking:
        return Interpolation(self, asked, mse)

    def freezer(self) -> MixtureFreezer:
        return MixtureFreezer(self)

    def initialise(self, photographs: Tensor) -> None:
        """Start as a transform codec, and its mixture as a linear prediction."""
        _write_transform(self, photographs)


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
    """1x1 convolution with a stride, which in training subsamples the input first and has none.

    PyTorch 2.13 on CPUs writes out of bounds in the gradient of the strided one, for 3 channels in channels-last.
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


@torch.no_grad()
def _write_transform(model: Fidelity, photographs: Tensor) -> None:
    """Write a hierarchical Karhunen-Loeve transform, measured on photographs (n, 3, H, W) in [0, 1], into the weights.

    From a random start three thousand steps bring no colours. Here every strided stage starts as the best linear map of
    2x2 blocks of the stage before it, and every doubling as the transpose:

    * The shortcut of a strided block takes one pixel of four, so it is the body that carries the blocks, as pairs
      (v, -v): their rectified difference is v again, but for a factor. A GDN is nearly the identity while gamma is
      small.
    * The shortcut of a doubling takes all that it needs and is linear.
    * All other bodies start at zero, and attention as a constant factor.

    The mixture starts around the best linear prediction from the neighbours, which the context network carries as
    pairs.
    """
    for module in model.modules():
        if isinstance(module, (ResidualBlock, ResidualUpsampling)):
            zero_output(module.second)
        elif isinstance(module, Attention):
            zero_output(module.mask_projection)
        elif isinstance(module, GDN):
            module.gamma.mul_(SPARE)

    latent_channels = model.latent_channels
    blocks = [block for block in layers_of(ResidualBlock, model.analysis) if isinstance(block.shortcut, nn.Conv2d)]
    last_stage, to_latent = layers_of(nn.Conv2d, model.analysis)
    from_latent, to_picture = layers_of(nn.Conv2d, model.synthesis)
    features = 2 * photographs - 1
    bases: list[Tensor] = []
    for convolution in (*(block.first for block in blocks), last_stage):
        basis = principal_blocks(features, convolution.out_channels // 2)
        features = HALF * nn.functional.conv2d(features, basis, stride=2)
        _set_linear(convolution, HALF * _paired(basis))
        bases.append(basis)
    for block, basis in zip(blocks, bases, strict=False):
        assert isinstance(block.shortcut, nn.Conv2d)
        _set_linear(block.second, _unpaired(torch.eye(len(basis))))
        _set_linear(block.shortcut, torch.zeros(len(basis), basis.shape[1], 1, 1))
    gain = LATENT_GAIN / HALF ** len(bases)
    _set_linear(to_latent, _unpaired(gain * torch.eye(latent_channels, len(bases[-1]))))

    _set_linear(from_latent, _paired(torch.eye(latent_channels)[:, :, None, None] / gain))
    *doublings, image = reversed([_transposed(basis) / HALF for basis in bases])
    ups = [layer.shortcut for layer in layers_of(ResidualUpsampling, model.synthesis)]
    _set_linear(ups[0], _unpaired(doublings[0][:, :latent_channels]))
    for up, doubling in zip(ups[1:], doublings[1:], strict=True):
        _set_linear(up, doubling[:, :, None, None])
    _set_linear(to_picture, INVERSE_TANH * image[:, :, None, None])

    for after_attention in (blocks[-1].first, to_latent, ups[0], ups[2]):
        after_attention.weight /= ATTENTION

    _set_mixture(model.context, model.analysis(2 * photographs - 1))


def _set_mixture(context: ContextModel, y: Tensor) -> None:
    """Every component around the best linear prediction from the neighbours in y (B, C, h, w), each of another width.

    One is as wide as the prediction's error, the others half and twice as wide.
    """
    channels = y.shape[1]
    noisy = torch.round(y)
    neighbours, wanted = (part.transpose(0, 1).flatten(1) for part in (context.gather(noisy), noisy))
    neighbours = torch.cat((neighbours, torch.ones_like(neighbours[:1])))
    prediction = torch.linalg.solve(
        neighbours @ neighbours.T + RIDGE * neighbours.shape[1] * torch.eye(len(neighbours)), neighbours @ wanted.T
    ).T
    errors = (wanted - prediction @ neighbours).std(1)

    first, *middle, last = layers_of(nn.Conv2d, context.network)
    identity = _unpaired(torch.eye(channels))
    _set_linear(first, _paired(prediction[:, :-1, None, None]))
    for layer in middle:
        _set_linear(layer, _paired(identity))
    last.weight *= SPARE
    means, _, _ = last.weight.view(context.components, 3, channels, -1).unbind(1)
    means.zero_()
    means[..., : 2 * channels] = identity[:, :, 0, 0]
    means, deviations, logits = bias_of(last).view(context.components, 3, channels).unbind(1)
    means.copy_(prediction[:, -1])
    deviations.copy_(errors * 2.0 ** (torch.arange(context.components)[:, None] - (context.components - 1) / 2))
    logits.zero_()


def _paired(filters: Tensor) -> Tensor:
    """Filters (k, c, height, width) with outputs v, as filters whose outputs are the pairs (v, -v)."""
    return torch.cat((filters, -filters))


def _unpaired(matrix: Tensor) -> Tensor:
    """(k, c) as filters (k, 2 c, 1, 1) of the rectified pairs of c values."""
    return torch.cat((matrix, -matrix), 1)[:, :, None, None] / (1 + SLOPE)


def _transposed(basis: Tensor) -> Tensor:
    """Orthonormal block filters (k, c, 2, 2) as the matrix (4 c, k) before a pixel shuffle that undoes them."""
    return basis.permute(1, 2, 3, 0).flatten(0, 2)


def _set_linear(convolution: nn.Conv2d, filters: Tensor) -> None:
    """The filters (rows, columns, 1 or 2, 1 or 2) in the layer's first outputs; the others start random and small."""
    rows, columns, size, _ = filters.shape
    first = (convolution.kernel_size[0] - size + 1) // 2
    taps = slice(first, first + size)
    convolution.weight *= SPARE
    convolution.weight[:rows] = 0
    convolution.weight[:rows, :columns, taps, taps] = filters
    bias_of(convolution).zero_()
