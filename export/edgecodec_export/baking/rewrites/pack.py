"""Pack: the convolution that gives the picture gives 2x2 pixels at once, as 12 channels at half the resolution.

Engines compute channels in blocks of 8 or 16 and pad 3 of them to a whole block. A convolution of size K to 3 channels
becomes one of stride 2 and size K + 1 to 12, whose filters are those of the 4 pixels, each shifted to where its pixel
lies. Then the pixels are shuffled to their places. Pictures have even sides in every family.
"""

from __future__ import annotations

import copy
from itertools import product

from torch import nn

from edgecodec_export.baking.rewrites.blocks import FACTOR, Blocks, with_filters
from edgecodec_export.baking.rewrites.replacing import replace_layers
from edgecodec_export.layers.convolutions import is_plain

COLOURS = 3


def pack(decoder: nn.Module) -> None:
    """Pack every convolution to three channels that keeps the sides of its input."""
    replace_layers(decoder, _packed)


def _packed(layer: nn.Module) -> nn.Module | None:
    if not isinstance(layer, nn.Conv2d) or layer.out_channels != COLOURS or not is_plain(layer):
        return None
    return Blocks(pack_convolution(layer)) if _keeps_sides(layer) else None


def _keeps_sides(layer: nn.Conv2d) -> bool:
    """Whichever way the layer pads its input."""
    sample = layer.weight.new_zeros(1, layer.in_channels, *(2 * size for size in layer.kernel_size))
    return layer(sample).shape[2:] == sample.shape[2:]


def pack_convolution(layer: nn.Conv2d) -> nn.Conv2d:
    """The layer, padding and all, giving blocks: filters (outputs * 4, inputs, rows + 1, columns + 1), stride 2."""
    outputs, inputs, rows, columns = layer.weight.shape
    weight = layer.weight.new_zeros(outputs, FACTOR, FACTOR, inputs, rows + FACTOR - 1, columns + FACTOR - 1)
    for i, j in product(range(FACTOR), repeat=2):
        weight[:, i, j, :, i : i + rows, j : j + columns] = layer.weight
    packed = copy.deepcopy(layer)
    packed.stride = (FACTOR, FACTOR)
    return with_filters(packed, weight, layer.bias)
