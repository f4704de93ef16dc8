"""A transform of 8x8 blocks whose two networks work at a stride of 8 pixels and coarser, so that a decode is cheap.

The filters of the first convolution and of the last cover a block and its neighbours, as those of a lapped transform.
They start as the principal components of blocks, with those of 2x2 blocks behind them, and residual units start as
identities.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from edgecodec_export.layers.convolutions import bias_of
from edgecodec_export.layers.initial_transform import at_centre, layers_of, principal_blocks, set_filters, zero_output
from edgecodec_export.layers.precision import EndsInFloat32
from edgecodec_export.layers.residual import ResidualUnit

BLOCK = 8  # pixels
_COLOURS = 3


class BlockAnalysis(EndsInFloat32):
    """Image (B, 3, H, W) to latent (B, M, H/16, W/16): 24x24 to stride 8, residual units there, 5x5 to stride 16."""

    def __init__(self, channels: int, units: int, latent_channels: int) -> None:
        super().__init__(
            nn.Conv2d(_COLOURS, channels, 3 * BLOCK, stride=BLOCK, padding=BLOCK),
            *_units(channels, units),
            nn.Conv2d(channels, latent_channels, 5, stride=2, padding=2),
        )


class BlockSynthesis(nn.Sequential):
    """Latent (B, M, H/16, W/16) to image (B, 3, H, W).

    Two residual units at stride 16, 1x1 to four pixels of stride 8 at once, residual units there, and 3x3 to blocks.
    """

    def __init__(self, latent_channels: int, channels: int, units: int) -> None:
        super().__init__(
            *_units(latent_channels, 2),
            nn.Conv2d(latent_channels, 4 * channels, 1),
            nn.PixelShuffle(2),
            *_units(channels, units),
            nn.Conv2d(channels, _COLOURS * BLOCK**2, 3, padding=1),
            nn.PixelShuffle(BLOCK),
        )


@torch.no_grad()
def write_block_transform(
    analysis: BlockAnalysis, synthesis: BlockSynthesis, photographs: Tensor, latent_gain: float
) -> None:
    """Start as a transform codec that was measured on photographs (n, 3, H, W) in [0, 1].

    latent_gain: latents over coefficients of an orthonormal transform.
    """
    blocks, to_latent = layers_of(nn.Conv2d, analysis)
    from_latent, to_blocks = layers_of(nn.Conv2d, synthesis)
    for network in (analysis, synthesis):
        for unit in layers_of(ResidualUnit, network):
            zero_output(unit.leave)
    centred = photographs - 0.5
    of_blocks = principal_blocks(centred, blocks.out_channels, BLOCK)
    coefficients = nn.functional.conv2d(centred, of_blocks, stride=BLOCK)
    of_four = principal_blocks(coefficients, to_latent.out_channels)

    set_filters(blocks, of_blocks)
    bias_of(blocks).copy_(-0.5 * of_blocks.sum((1, 2, 3)))
    set_filters(to_latent, latent_gain * of_four)
    # A pixel shuffle takes its channels in the order in which a filter's weights lie.
    set_filters(from_latent, at_centre(of_four.flatten(1).T / latent_gain))
    set_filters(to_blocks, at_centre(of_blocks.flatten(1).T))
    bias_of(to_blocks).fill_(0.5)


def _units(channels: int, count: int) -> Iterable[ResidualUnit]:
    return (ResidualUnit(channels, channels // 2) for _ in range(count))
