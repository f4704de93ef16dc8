"""Offset: a 4x4 transposed convolution that doubles sides becomes a 2x2 convolution whose blocks lie between positions.

The block of pixels 2m - 1 and 2m meets the inputs at m - 1 and m alone, so that the convolution has the 16 taps of the
filter and no zeros. The outer half of the blocks at the borders is cropped. Engines that have no kernel for transposed
convolutions are faster so.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from edgecodec_export.baking.rewrites.blocks import FACTOR, with_filters
from edgecodec_export.baking.rewrites.replacing import replace_layers
from edgecodec_export.layers.convolutions import is_plain


class OffsetBlocks(nn.Module):
    """A convolution that gives a block between all neighbours and around them, the shuffle, and the crop."""

    def __init__(self, convolution: nn.Conv2d) -> None:
        super().__init__()
        self.convolution = convolution

    def forward(self, x: Tensor) -> Tensor:
        return F.pixel_shuffle(self.convolution(x), FACTOR)[:, :, 1:-1, 1:-1]


def offset(decoder: nn.Module) -> None:
    """Rewrite every 4x4 transposed convolution that doubles sides."""
    replace_layers(decoder, _offset)


def _offset(layer: nn.Module) -> nn.Module | None:
    if not isinstance(layer, nn.ConvTranspose2d) or not is_plain(layer) or not _has_whole_blocks(layer):
        return None
    inputs, outputs = layer.weight.shape[:2]
    convolution = nn.Conv2d(inputs, outputs, 1, padding=1, device="meta")
    return OffsetBlocks(with_filters(convolution, filters_of_blocks(layer), layer.bias))


def _has_whole_blocks(layer: nn.ConvTranspose2d) -> bool:
    return (layer.kernel_size, layer.stride, layer.padding, layer.output_padding) == ((4, 4), (2, 2), (1, 1), (0, 0))


def filters_of_blocks(layer: nn.ConvTranspose2d) -> Tensor:
    """(outputs, 2, 2, inputs, 2, 2). Pixel i of a block meets the position t of the two by tap 2 * (1 - t) + i."""
    taps = layer.weight.unflatten(3, (FACTOR, FACTOR)).unflatten(2, (FACTOR, FACTOR))
    return taps.flip(2, 4).permute(1, 3, 5, 0, 2, 4)
