"""How much of an error is a grid, the cheapest detail that a decoder of pixel shuffles can produce.

A discriminator takes long to tell one from texture.
"""

from __future__ import annotations

from torch import Tensor, nn

GRID_PERIOD = 4  # pixels, of the last two doublings
GRID_WINDOW = 32  # pixels, the smallest side of a picture


def grid_energy(error: Tensor) -> Tensor:
    """Mean square of the pattern that repeats every GRID_PERIOD pixels in a window of `error` (B, 3, H, W).

    Texture repeats by chance only, so the mean over a window removes most of it.
    """
    height, width = (side // GRID_PERIOD * GRID_PERIOD for side in error.shape[2:])
    phases = nn.functional.pixel_unshuffle(error[..., :height, :width], GRID_PERIOD)
    pattern = nn.functional.avg_pool2d(phases, GRID_WINDOW // GRID_PERIOD).unflatten(1, (3, GRID_PERIOD**2))
    return (pattern - pattern.mean(2, keepdim=True)).square().mean()
