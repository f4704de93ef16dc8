"""What all starts are made of: principal components of 2x2 blocks, and convolutions that map by them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

INVERSE_TANH = 1.2  # slope of the line that is nearest to it on photographs
SPARE = 0.1  # relative size of the channels that start random
ATTENTION = 1.5  # what x + trunk(x) * sigmoid(mask(x)) multiplies by while trunk is the identity and the mask is silent


def principal_blocks(features: Tensor, most: int) -> Tensor:
    """(k, c, 2, 2) orthonormal filters: the k <= `most` strongest components of the 2x2 blocks of (n, c, H, W)."""
    channels = features.shape[1]
    blocks = nn.functional.unfold(features, 2, stride=2).transpose(0, 1).reshape(4 * channels, -1)
    _, vectors = torch.linalg.eigh(blocks @ blocks.T / blocks.shape[1])
    strongest = vectors.flip(1).T[:most]
    return strongest.reshape(-1, channels, 2, 2)


def silence(convolution: nn.Conv2d) -> None:
    """Let it give zeros."""
    convolution.weight.zero_()
    convolution.bias.zero_()


def at_centre(matrix: Tensor) -> Tensor:
    """(outputs, inputs) as filters of size 1."""
    return matrix[:, :, None, None]


def set_pairs(weight: Tensor, filters: Tensor, *, paired_input: bool = True, paired_output: bool = True) -> None:
    """Fill a convolution's `weight` so that its first pairs (v, -v) are mapped by `filters`.

    filters: (outputs, inputs, 1 or 2, 1 or 2), or (inputs, outputs, ...) of a transposed convolution. They lie on the
    taps that see a pixel, or the 2x2 block of one at half the resolution. Other channels start random and small.
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
