"""How much fine texture there is, and where, whatever it shows.

Squared error makes a decoder leave out what it cannot know, and a discriminator takes long to ask for it back. This
asks at once: the amplitude of a texture is one number for many pixels, which the latents can tell. It is this project's
own, and so are its constants, of which few others were tried.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

LEVELS = 2  # octaves, the finest first: coarser noise is seen as blobs
WINDOW = 16  # pixels of the picture, the side of a region of one amplitude
#: The amplitude is compared by this power of it: grain is seen on a smooth surface long before it is seen in a rough
#: one.
POWER = 0.5
SILENCE = 1e-6  # energy, a quarter of a level of 255 by amplitude, below which differences are not seen


def texture_distance(rebuilt: Tensor, image: Tensor) -> Tensor:
    """Mean square of the difference of amplitudes' roots, summed over octaves, of pictures (B, 3, H, W). A scalar.

    An amplitude is the root of the mean energy of a Haar band of the brightness in a region, for each direction.
    Colours are left out: squared error keeps grain grey, which is what most textures are. Regions of every octave have
    as many pixels of the picture. The whole picture is a region too, which counts as much as all others: where a
    decoder cannot tell rough from smooth, the mean of roots is less than the root of the mean, and there would be too
    little texture in all. Sides are WINDOW or more; what is beyond a multiple of it is left out.
    """
    height, width = (side // WINDOW * WINDOW for side in image.shape[2:])
    both = [each[..., :height, :width].mean(1, keepdim=True) for each in (rebuilt, image)]
    total = rebuilt.new_zeros(())
    for level in range(1, LEVELS + 1):
        halved = [_halved(each) for each in both]
        energies = [nn.functional.avg_pool2d(bands.square(), WINDOW >> level) for _, bands in halved]
        for ours, theirs in (energies, [energy.mean((2, 3)) for energy in energies]):
            total = total + (_loudness(ours) - _loudness(theirs)).square().mean()
        both = [mean for mean, _ in halved]
    return total


def _halved(picture: Tensor) -> tuple[Tensor, Tensor]:
    """Means of 2x2 pixels, and the Haar bands: what varies across, down, and diagonally."""
    top_left, top_right = picture[..., ::2, ::2], picture[..., ::2, 1::2]
    bottom_left, bottom_right = picture[..., 1::2, ::2], picture[..., 1::2, 1::2]
    across = top_left - top_right + bottom_left - bottom_right
    down = top_left + top_right - bottom_left - bottom_right
    diagonal = top_left - top_right - bottom_left + bottom_right
    return nn.functional.avg_pool2d(picture, 2), torch.cat((across, down, diagonal), 1) / 4


def _loudness(energy: Tensor) -> Tensor:
    """The amplitude to the power of POWER."""
    return (energy + SILENCE) ** (POWER / 2)
