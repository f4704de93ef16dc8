"""What may be given to be encoded, in memory or in files."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image

from edgecodec import files, picture, tensors
from edgecodec.limits import Limits
from edgecodec.picture import AlphaChannel, Picture

#: A picture file (path, bytes or open file), an array, an image of Pillow, a tensor of PyTorch, or a Picture.
PictureSource = files.Source | npt.NDArray[np.uint8] | Image.Image | tensors.Tensor | Picture


def as_picture(source: PictureSource, limits: Limits, alpha_channel: AlphaChannel) -> Picture:
    """Raises what `edgecodec.picture.read`, `from_image`, `from_pixels` and `edgecodec.tensors.pixels_of` do."""
    if isinstance(source, Picture):
        return source
    if isinstance(source, np.ndarray):
        return picture.from_pixels(source)
    if isinstance(source, Image.Image):
        return picture.from_image(source, limits, alpha_channel)
    if isinstance(source, tensors.Tensor):
        return picture.from_pixels(tensors.pixels_of(source))
    return picture.read(source, limits, alpha_channel)
