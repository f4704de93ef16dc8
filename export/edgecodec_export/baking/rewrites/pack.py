"""Pack: the convolution that gives the picture gives 2x2 pixels at once, as 12 channels at half the resolution.

Engines compute channels in blocks of 8 or 16 and pad 3 of them to a whole block. A convolution of size K to 3 channels
becomes one of stride 2 and size K + 1 to 12, whose filters are those of the 4 pixels, each shifted to where its pixel
lies. A transposed convolution of stride 2 becomes a convolution of stride 1, whose filters are the taps that each of
the 4 pixels meets. Then the pixels are shuffled to their places.

Pictures have even sides in every family.
"""

from __future__ import annotations

import copy
from itertools import product

import torch.nn.functional as F
from torch import Tensor, nn

from edgecodec_export.baking.rewrites.replacing import replace_layers
from edgecodec_export.layers.convolutions import Convolution

COLOURS = 3
FACTOR = 2  # pixels a side that are computed at once


def pack(decoder: nn.Module) -> None:
    """Pack every convolution to three channels that keeps the sides of its input, or doubles them."""
    replace_layers(decoder, _packed)


class Packed(nn.Module):
    """A convolution that gives 2x2 pixels at each position, and the shuffle of these to their places."""

    def __init__(self, convolution: nn.Conv2d) -> None:
        super().__init__()
        self.convolution = convolution

    def forward(self, x: Tensor) -> Tensor:
        return F.pixel_shuffle(self.convolution(x), FACTOR)


def _packed(layer: nn.Module) -> Packed | None:
    if getattr(layer, "out_channels", None) != COLOURS:
        return None
    if isinstance(layer, nn.Conv2d) and _scale(layer) == 1:
        return Packed(pack_convolution(layer))
    if isinstance(layer, nn.ConvTranspose2d) and _scale(layer) == FACTOR:
        return Packed(pack_transposed(layer))
    return None


def _scale(layer: Convolution) -> float | None:
    """Sides of the output over sides of the input, whichever way the layer pads; None where the two differ."""
    side = 4 * max(layer.kernel_size)
    rows, columns = layer(layer.weight.new_zeros(1, layer.in_channels, side, side)).shape[2:]
    return rows / side if rows == columns else None


def pack_convolution(layer: nn.Conv2d) -> nn.Conv2d:
    """The layer, padding and all, giving 2x2 pixels: filters (outputs * 4, inputs, rows + 1, columns + 1), stride 2.

    layer: of stride 1 and dilation 1.
    """
    outputs, inputs, rows, columns = layer.weight.shape
    weight = layer.weight.new_zeros(outputs, FACTOR, FACTOR, inputs, rows + FACTOR - 1, columns + FACTOR - 1)
    for i, j in product(range(FACTOR), repeat=2):
        weight[:, i, j, :, i : i + rows, j : j + columns] = layer.weight
    packed = copy.deepcopy(layer)
    packed.stride = (FACTOR, FACTOR)
    return _refilled(packed, weight, layer.bias)


def pack_transposed(layer: nn.ConvTranspose2d) -> nn.Conv2d:
    """A convolution that gives 2x2 pixels of the layer: filters (outputs * 4, inputs, rows, columns), stride 1.

    layer: of stride 2 and dilation 1.
    """
    inputs, outputs = layer.weight.shape[:2]
    met = [[_met_taps(layer, axis, i) for i in range(FACTOR)] for axis in (0, 1)]
    reach = [max(abs(distance) for taps in axis for distance in taps) for axis in met]
    weight = layer.weight.new_zeros(outputs, FACTOR, FACTOR, inputs, *(2 * each + 1 for each in reach))
    for i, j in product(range(FACTOR), repeat=2):
        for (down, row), (across, column) in product(met[0][i].items(), met[1][j].items()):
            weight[:, i, j, :, reach[0] - down, reach[1] - across] = layer.weight[:, :, row, column].T
    packed = nn.Conv2d(inputs, outputs, 1, padding=(reach[0], reach[1]), device="meta")
    return _refilled(packed, weight, layer.bias)


def _met_taps(layer: nn.ConvTranspose2d, axis: int, i: int) -> dict[int, int]:
    """The tap with which pixel 2m + i takes position m - distance, by distance: i + padding + 2 * distance."""
    padding, size = int(layer.padding[axis]), layer.kernel_size[axis]
    return {(tap - padding - i) // FACTOR: tap for tap in range((padding + i) % FACTOR, size, FACTOR)}


def _refilled(convolution: nn.Conv2d, weight: Tensor, bias: Tensor | None) -> nn.Conv2d:
    """The convolution with other filters (outputs, 2, 2, inputs, rows, columns), and the bias of every output."""
    convolution.weight = nn.Parameter(weight.flatten(0, 2), requires_grad=False)
    if bias is None:
        convolution.bias = None
    else:
        convolution.bias = nn.Parameter(bias.repeat_interleave(FACTOR**2), requires_grad=False)
    convolution.out_channels = len(convolution.weight)
    convolution.kernel_size = (weight.shape[4], weight.shape[5])
    return convolution
