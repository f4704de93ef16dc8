"""Convolutions that give the 2x2 pixels of a block at once, as channels, and the shuffle of these to their places."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

FACTOR = 2  # pixels a side of a block


class Blocks(nn.Module):
    """A convolution that gives a block at each position, and the shuffle."""

    def __init__(self, convolution: nn.Conv2d) -> None:
        super().__init__()
        self.convolution = convolution

    def forward(self, x: Tensor) -> Tensor:
        return F.pixel_shuffle(self.convolution(x), FACTOR)


def with_filters(convolution: nn.Conv2d, filters: Tensor, bias: Tensor | None) -> nn.Conv2d:
    """The convolution with the filters of blocks instead of its own.

    filters: (outputs, 2, 2, inputs, rows, columns), for each output and pixel of a block. bias: (outputs,)
    """
    convolution.weight = nn.Parameter(filters.flatten(0, 2), requires_grad=False)
    each_pixel = None if bias is None else bias.repeat_interleave(FACTOR**2)
    convolution.bias = None if each_pixel is None else nn.Parameter(each_pixel, requires_grad=False)
    convolution.out_channels = len(convolution.weight)
    convolution.kernel_size = (filters.shape[4], filters.shape[5])
    return convolution
