"""Split: a transposed convolution that doubles sides becomes a convolution that gives 2x2 pixels at once.

The four pixels of a block meet different taps of the filter, 25 taps for one of size 5. A convolution that gives them
together has 9 for each pixel, 36 with the zeros. Engines that have no kernel for transposed convolutions, and compute
them as one product whose parts they add up, are faster so all the same, except at the picture's full resolution.
"""

from __future__ import annotations

from itertools import product

from torch import nn

from edgecodec_export.baking.rewrites.blocks import FACTOR, Blocks, with_filters
from edgecodec_export.baking.rewrites.pack import COLOURS
from edgecodec_export.baking.rewrites.replacing import replace_layers
from edgecodec_export.layers.convolutions import is_plain

SMALLEST = 5  # size of a filter; smaller ones leave most taps of the convolution zero


def split(decoder: nn.Module) -> None:
    """Split every large transposed convolution but those that give pictures."""
    replace_layers(decoder, _split)


def _split(layer: nn.Module) -> nn.Module | None:
    if not isinstance(layer, nn.ConvTranspose2d) or layer.out_channels == COLOURS or not is_plain(layer):
        return None
    large = min(layer.kernel_size) >= SMALLEST
    return Blocks(convolution_of_blocks(layer)) if large and _doubles_sides(layer) else None


def _doubles_sides(layer: nn.ConvTranspose2d) -> bool:
    sample = layer.weight.new_zeros(1, layer.in_channels, *layer.kernel_size)
    return layer(sample).shape[2:] == tuple(FACTOR * side for side in sample.shape[2:])


def convolution_of_blocks(layer: nn.ConvTranspose2d) -> nn.Conv2d:
    """A convolution of stride 1 that gives the blocks of the layer, which has stride 2 and doubles sides."""
    inputs, outputs = layer.weight.shape[:2]
    met = [[_met_taps(layer, axis, i) for i in range(FACTOR)] for axis in (0, 1)]
    reach = [max(abs(distance) for taps in axis for distance in taps) for axis in met]
    weight = layer.weight.new_zeros(outputs, FACTOR, FACTOR, inputs, *(2 * each + 1 for each in reach))
    for i, j in product(range(FACTOR), repeat=2):
        for (down, row), (across, column) in product(met[0][i].items(), met[1][j].items()):
            weight[:, i, j, :, reach[0] - down, reach[1] - across] = layer.weight[:, :, row, column].T
    convolution = nn.Conv2d(inputs, outputs, 1, padding=(reach[0], reach[1]), device="meta")
    return with_filters(convolution, weight, layer.bias)


def _met_taps(layer: nn.ConvTranspose2d, axis: int, i: int) -> dict[int, int]:
    """The tap with which pixel 2m + i takes position m - distance, by distance: i + padding + 2 * distance."""
    padding, size = int(layer.padding[axis]), layer.kernel_size[axis]
    return {(tap - padding - i) // FACTOR: tap for tap in range((padding + i) % FACTOR, size, FACTOR)}
