"""Pictures as the scores take them."""

from __future__ import annotations

import numpy as np

from edgecodec.picture import Pixels


def in_colour(pixels: Pixels) -> Pixels:
    """uint8 (height, width, 3) of that, or of (height, width), which becomes three equal channels."""
    return pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, 2)
