"""Sample label maps and masks, for codecs that take side inputs: used to check graphs and to make golden pictures."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from edgecodec.description import SideInput
from edgecodec_export.families.codec import LearnedCodec

Plane = npt.NDArray[np.uint8]


def side_latents(model: LearnedCodec, height: int, width: int) -> dict[str, Tensor]:
    """Side latents by name, (1, 1, h, w) float32, for a picture of this size, as `Freezer.observe` takes them."""
    planes = {}
    for latent in model.side_latents():
        rows, columns = height // latent.stride, width // latent.stride
        labels = latent.name == "labels"
        planes[latent.name] = banded_labels(model.classes(), rows, columns) if labels else central_mask(rows, columns)
    return {name: torch.from_numpy(plane)[None, None].float() for name, plane in planes.items()}


def side_arguments(given: Mapping[str, SideInput], height: int, width: int) -> dict[str, Plane]:
    """The side inputs that `Codec.encode` takes for a picture of this size, by the name of its argument.

    given: the bundle's side inputs, by latent.
    """
    arguments = {}
    for each in given.values():
        if each.kind == "labels":
            arguments["labels"] = banded_labels(len(each.classes), height, width)
        else:
            arguments["keep"] = central_mask(height, width)
    return arguments


def banded_labels(classes: int, height: int, width: int) -> Plane:
    """(height, width) of vertical bands, one for each class in order."""
    bands = np.arange(width) * classes // width
    return np.ascontiguousarray(np.broadcast_to(bands.astype(np.uint8), (height, width)))


def central_mask(height: int, width: int) -> Plane:
    """(height, width), 1 in the middle half of each side and 0 around it."""
    mask = np.zeros((height, width), np.uint8)
    mask[height // 4 : height - height // 4, width // 4 : width - width // 4] = 1
    return mask
