"""Encoder latents that a caller gives beside the picture: label maps, and masks of what is to be kept."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from edgecodec.description import Model, SideInput
from edgecodec.errors import InvalidArgument, KnobUnavailable
from support.reference_runtime.padding import aligned

Plane = npt.NDArray[np.uint8]
Latents = dict[str, npt.NDArray[np.int16]]


def latents(model: Model, width: int, height: int, labels: Plane | None, keep: Plane | None) -> Latents:
    """int16 (1, rows, columns) by kind, "labels" and "mask", for planes (height, width). Without `keep` all is kept.

    Beyond the picture's edge labels repeat and nothing is kept. A cell of the mask is 1 if any pixel of it is kept.
    """
    kinds = {side_input.kind for side_input in model.side_inputs.values()}
    if labels is not None and "labels" not in kinds:
        raise KnobUnavailable("the bundle takes no label map", where="labels")
    if keep is not None and "mask" not in kinds:
        raise KnobUnavailable("the bundle takes no mask: it keeps everything", where="keep")
    made: Latents = {}
    strides = {latent.name: latent.stride for latent in model.encoder_latents}
    rows, columns = aligned(height, model.alignment), aligned(width, model.alignment)
    for name, side_input in _sorted_by_kind(model.side_inputs):
        stride = strides[name]
        if side_input.kind == "labels":
            if labels is None:
                raise InvalidArgument("the bundle needs the class of every pixel", hint="give labels")
            if (highest := int(labels.max())) >= len(side_input.classes):
                raise InvalidArgument(
                    f"there is a label {highest}",
                    where="labels",
                    hint=f"the classes are 0 to {len(side_input.classes) - 1}",
                )
            padded = np.pad(labels, ((0, rows - height), (0, columns - width)), mode="edge")
            made["labels"] = padded.astype(np.int16)[None]
        elif keep is None:
            made["mask"] = np.ones((1, rows // stride, columns // stride), np.int16)
        else:
            kept = np.pad(keep.astype(np.bool_), ((0, rows - height), (0, columns - width)))
            cells = kept.reshape(1, rows // stride, stride, columns // stride, stride)
            made["mask"] = cells.astype(np.int16).max((2, 4))
    return made


def _sorted_by_kind(side_inputs: Mapping[str, SideInput]) -> list[tuple[str, SideInput]]:
    """Labels first."""
    return sorted(side_inputs.items(), key=lambda item: item[1].kind)
