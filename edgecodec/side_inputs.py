"""What a user gives beside the picture: label maps, and masks of what is to be kept, as planes of bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from edgecodec import files
from edgecodec.description import SideInput
from edgecodec.errors import InvalidArgument, KnobUnavailable
from edgecodec.limits import Limits

if TYPE_CHECKING:
    from edgecodec.picture import Picture

#: Numbers of classes (height, width) of the upright picture, or a picture file whose pixels are such numbers.
Labels = npt.NDArray[Any] | files.Source

#: Non-zero where a picture is kept (height, width), such a picture file, or names or numbers of the classes to keep.
Keep = npt.NDArray[Any] | files.Source | Sequence[str | int]


class Planes(NamedTuple):
    """Contiguous uint8 (height, width). None: the bundle takes none; for the mask also: everything is kept."""

    labels: npt.NDArray[np.uint8] | None
    mask: npt.NDArray[np.uint8] | None


class SideInputs:
    """What a model takes beside a picture."""

    def __init__(self, side_inputs: Mapping[str, SideInput], limits: Limits) -> None:
        kinds = {each.kind: each for each in side_inputs.values()}
        self._labels, self._mask = kinds.get("labels"), kinds.get("mask")
        self._classes = self._labels.classes if self._labels else ()
        self._limits = limits

    def planes(self, picture: Picture, labels: Labels | None, keep: Keep | None) -> Planes:
        """For a picture. Without `keep` everything is kept.

        Raises KnobUnavailable for what the bundle does not take; InvalidArgument for labels that are missing or not of
        the picture's size, and for classes that do not exist; and what reading a picture raises.
        """
        if labels is not None and self._labels is None:
            raise KnobUnavailable("the bundle takes no label map", where="labels")
        if keep is not None and self._mask is None:
            raise KnobUnavailable("the bundle takes no mask: it keeps everything", where="keep")
        label_map: npt.NDArray[np.uint8] | None = None
        if self._labels is not None:
            if labels is None:
                raise InvalidArgument("the bundle needs the class of every pixel", hint="give labels")
            label_map = self._label_map(labels, picture)
        mask = None if keep is None else np.ascontiguousarray(self._kept(keep, label_map, picture), np.uint8)
        return Planes(label_map, mask)

    def _label_map(self, labels: Labels, picture: Picture) -> npt.NDArray[np.uint8]:
        where = files.name_of(labels) or "labels"
        plane = self._plane(labels, where, picture)
        highest = int(plane.max())
        if int(plane.min()) < 0 or highest >= len(self._classes):
            wrong = highest if highest >= len(self._classes) else int(plane.min())
            raise InvalidArgument(
                f"there is a label {wrong}", where=where, hint=f"the classes are 0 to {len(self._classes) - 1}"
            )
        return np.ascontiguousarray(plane, np.uint8)

    def _kept(self, keep: Keep, label_map: npt.NDArray[np.uint8] | None, picture: Picture) -> npt.NDArray[np.bool_]:
        """(height, width)"""
        if not isinstance(keep, list | tuple):
            return self._plane(keep, files.name_of(keep) or "keep", picture).astype(np.bool_)
        if label_map is None:
            raise KnobUnavailable("the bundle has no classes", where="keep", hint="give a mask")
        kept: npt.NDArray[np.bool_] = np.isin(label_map, [number for each in keep for number in self._numbers(each)])
        return kept

    def _numbers(self, wanted: str | int) -> list[int]:
        """Of the classes with this name, or of this number."""
        named = [number for number, name in enumerate(self._classes) if name == wanted]
        if named:
            return named
        if str(wanted).isdecimal() and int(wanted) < len(self._classes):
            return [int(wanted)]
        raise InvalidArgument(
            f"there is no class {wanted!r}", where="keep", hint=f"the classes are {', '.join(self._classes)}"
        )

    def _plane(self, source: Any, where: str, picture: Picture) -> npt.NDArray[Any]:
        """Whole numbers (height, width)."""
        if isinstance(source, np.ndarray):
            plane = source
        else:
            from edgecodec import picture as pictures

            plane = pictures.read_numbers(source, self._limits)
        if plane.dtype.kind not in "biu":
            raise InvalidArgument(f"is of {plane.dtype}, not of whole numbers", where=where)
        shape = picture.pixels.shape[:2]
        if plane.shape != shape:
            turned = f" once its EXIF orientation {picture.orientation} is applied" if picture.orientation != 1 else ""
            raise InvalidArgument(
                f"is of shape {plane.shape}, the picture of {shape}{turned}",
                where=where,
                hint="give a number for every pixel of the picture as it is shown",
            )
        return plane
