"""Tools to start a codec as a transform codec: a hierarchical Karhunen-Loeve transform written into its weights.

From a random start a small codec spends thousands of steps before it transmits colours or brightness. The principal
components of 2x2 blocks, measured on photographs and stacked stage by stage, carry photographs before the first step.
"""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor, nn

from edgecodec_export.layers.convolutions import Convolution, bias_of

INVERSE_TANH = 1.2  # slope of the line that is nearest to it on photographs
SPARE = 0.1  # relative size of weights that start random
ATTENTION = 1.5  # the factor that x + trunk(x) * sigmoid(mask(x)) is while trunk is the identity and mask gives zeros

Layer = TypeVar("Layer", bound=nn.Module)


def layers_of(kind: type[Layer], network: nn.Module) -> list[Layer]:
    """The network's own layers of one kind, in order."""
    return [layer for layer in network.children() if isinstance(layer, kind)]


def principal_blocks(features: Tensor, most: int, side: int = 2) -> Tensor:
    """(k, c, side, side) orthonormal filters: the k <= `most` strongest components of blocks of (n, c, H, W)."""
    channels = features.shape[1]
    blocks = nn.functional.unfold(features, side, stride=side).transpose(0, 1).reshape(side**2 * channels, -1)
    _, vectors = torch.linalg.eigh(blocks @ blocks.T / blocks.shape[1])
    strongest = vectors.flip(1).T[:most]
    return strongest.reshape(-1, channels, side, side)


def zero_output(convolution: nn.Conv2d) -> None:
    """Let the convolution give zeros."""
    convolution.weight.zero_()
    bias_of(convolution).zero_()


def at_centre(matrix: Tensor) -> Tensor:
    """An (outputs, inputs) matrix as filters of size 1."""
    return matrix[:, :, None, None]


def set_filters(convolution: Convolution, filters: Tensor) -> None:
    """Give a convolution filters of fewer taps, and small random ones where there are fewer filters than channels.

    filters: (outputs, inputs, taps, taps), or (inputs, outputs, ...) of a transposed convolution. The taps of blocks of
    2x2 begin at the centre, where a convolution of stride 2 has the first pixel of its block. The bias becomes 0.
    """
    weight = convolution.weight
    nn.init.normal_(weight, std=SPARE / weight[0].numel() ** 0.5)
    weight[: len(filters)] = 0
    first = (weight.shape[2] - filters.shape[2] + 1) // 2
    taps = slice(first, first + filters.shape[2])
    weight[: len(filters), : filters.shape[1], taps, taps] = filters
    bias_of(convolution).zero_()


def set_pairs(weight: Tensor, filters: Tensor, *, paired_input: bool = True, paired_output: bool = True) -> None:
    """Fill a convolution's `weight` so that it maps its first pairs of channels (v, -v) by `filters`.

    filters: (outputs, inputs, 1 or 2, 1 or 2), or (inputs, outputs, ...) of a transposed convolution. They lie on the
    taps over a pixel, or over its 2x2 block at half the resolution. Other channels start random and small.
    paired_input, paired_output: False where the second, or first, dimension holds single channels.
    """
    size = weight.shape[2]
    paired = (paired_output, paired_input)
    ends = [count // 2 if halved else count for count, halved in zip(weight.shape[:2], paired, strict=True)]
    first = (size - filters.shape[2] + 1) // 2
    taps = slice(first, first + filters.shape[2])
    rows, columns = (min(pair) for pair in zip(filters.shape[:2], ends, strict=True))
    linear = torch.randn(*ends, size, size) * SPARE / (ends[1] * size**2) ** 0.5
    linear[:rows] = 0
    linear[:rows, :columns, taps, taps] = filters[:rows, :columns]
    if paired_input:
        linear = torch.cat((linear, -linear), 1)
    weight.copy_(torch.cat((linear, -linear)) if paired_output else linear)
