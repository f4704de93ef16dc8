"""Labels and masks for checks: what is given with a picture where a codec takes more than the picture."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from edgecodec.manifest import Given
from edgecodec_export.families.codec import LearnedCodec

Plane = npt.NDArray[np.uint8]


def side_latents(model: LearnedCodec, height: int, width: int) -> dict[str, Tensor]:
    """By name: side latents (1, 1, h, w) of a picture of that size, as `Freezer.observe` takes them."""
    planes = {}
    for latent in model.side_latents():
        rows, columns = height // latent.stride, width // latent.stride
        labels = latent.name == "labels"
        planes[latent.name] = banded_labels(model.classes(), rows, columns) if labels else central_mask(rows, columns)
    return {name: torch.from_numpy(plane)[None, None].float() for name, plane in planes.items()}


def side_arguments(given: Mapping[str, Given], height: int, width: int) -> dict[str, Plane]:
    """By name: what `Codec.encode` takes beside a picture of that size, for a bundle with these latents given."""
    arguments = {}
    for each in given.values():
        if each.kind == "labels":
            arguments["labels"] = banded_labels(len(each.classes), height, width)
        else:
            arguments["keep"] = central_mask(height, width)
    return arguments


def banded_labels(classes: int, height: int, width: int) -> Plane:
    """(height, width) in upright bands, all classes in turn."""
    bands = np.arange(width) * classes // width
    return np.ascontiguousarray(np.broadcast_to(bands.astype(np.uint8), (height, width)))


def central_mask(height: int, width: int) -> Plane:
    """(height, width), 1 in the middle and 0 towards the edges."""
    mask = np.zeros((height, width), np.uint8)
    mask[height // 4 : height - height // 4, width // 4 : width - width // 4] = 1
    return mask
