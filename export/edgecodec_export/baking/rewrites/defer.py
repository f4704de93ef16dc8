"""Defer: the convolution that gives the picture takes the blocks of a split doubling, before these are shuffled.

At the picture's full resolution, copies cost as much as convolutions: of many channels, to shuffle them and to pad
their borders. The pixels of a block are channels of one position instead, until three colours are left to shuffle.
A border that mirrors one pixel is a border that repeats one block: its inner pixel is the mirrored one, and no filter
meets the outer one.
"""

from __future__ import annotations

from itertools import pairwise, product
from typing import Literal, TypeGuard

from torch import nn

from edgecodec_export.baking.rewrites.blocks import FACTOR, Blocks, with_filters
from edgecodec_export.baking.rewrites.pack import COLOURS
from edgecodec_export.baking.rewrites.split import convolution_of_blocks, is_large_doubling
from edgecodec_export.layers.convolutions import is_plain

POINTWISE = (nn.Identity, nn.LeakyReLU, nn.ReLU)
SIZE = 3  # of the filter; larger ones meet blocks that are mirrored
BORDERS: dict[str, Literal["zeros", "replicate"]] = {
    "zeros": "zeros",
    "reflect": "replicate",
}  # of pixels, and of blocks


def defer(decoder: nn.Module) -> None:
    """Rewrite every large doubling whose activation is followed by a 3x3 convolution to three channels.

    Goes before `pack` and `split`, which rewrite these layers one by one.
    """
    for sequence in [module for module in decoder.modules() if isinstance(module, nn.Sequential)]:
        for (_, stage), (name, layer) in pairwise(list(sequence.named_children())):
            if isinstance(stage, nn.Sequential) and _gives_picture(layer):
                doubling, *others = stage
                if is_large_doubling(doubling) and all(isinstance(each, POINTWISE) for each in others):
                    stage[0] = convolution_of_blocks(doubling)
                    setattr(sequence, name, Blocks(convolution_on_blocks(layer)))


def _gives_picture(layer: nn.Module) -> TypeGuard[nn.Conv2d]:
    if not isinstance(layer, nn.Conv2d) or layer.out_channels != COLOURS or not is_plain(layer):
        return False
    shape = (layer.kernel_size, layer.stride, layer.padding)
    return type(layer) is nn.Conv2d and shape == ((SIZE, SIZE), (1, 1), (1, 1)) and layer.padding_mode in BORDERS


def convolution_on_blocks(layer: nn.Conv2d) -> nn.Conv2d:
    """A convolution from blocks, with each input's pixels as channels, to the blocks that the layer gives."""
    outputs, inputs = layer.weight.shape[:2]
    weight = layer.weight.new_zeros(outputs, FACTOR, FACTOR, inputs, FACTOR, FACTOR, SIZE, SIZE)
    for i, j, row, column in product(range(FACTOR), range(FACTOR), range(SIZE), range(SIZE)):
        (down, m), (across, n) = divmod(i + row - 1, FACTOR), divmod(j + column - 1, FACTOR)
        weight[:, i, j, :, m, n, 1 + down, 1 + across] = layer.weight[:, :, row, column]
    channels = inputs * FACTOR**2
    made = nn.Conv2d(channels, outputs, 1, padding=1, padding_mode=BORDERS[layer.padding_mode], device="meta")
    return with_filters(made, weight.flatten(3, 5), layer.bias)
