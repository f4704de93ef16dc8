"""Training pictures with label maps: one tar file, split by its folders, kept in memory as bytes.

classes.txt             a line for each class: its number, its name, and anything else; # starts a comment
SPLIT/images/NAME.*     any format Pillow opens; SPLIT is train, val, or one that is not read
SPLIT/labels/NAME.png   greyscale or palette, whose samples are the numbers of the classes
"""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
import torch
from scipy.ndimage import label
from torch import Tensor, nn

from edgecodec import files
from edgecodec.errors import CannotRead, EdgecodecError, InvalidArgument
from edgecodec.limits import ANY
from edgecodec.picture import read_numbers
from edgecodec_train.data.crops import Mirror, as_images, draw_mirroring, whole_photo
from edgecodec_train.data.photographs import Photo, read_photo

Labels = npt.NDArray[np.uint8]  # (H, W)

#: How a mask is drawn: "random instance" and "random box" of Agustsson et al. 2019, section 3.2.
MaskKind = Literal["instances", "boxes"]

MOST_CLASSES = 256  # that a label map can be coded with
INSTANCES_KEPT = 0.25  # of a crop

_CLASS_LIST = PurePosixPath("classes.txt")
_LAYOUT = "the layout of the tar file is described in edgecodec_train/data/scenes.py"


@dataclass(frozen=True)
class Scene:
    photo: Photo
    labels: Labels


@dataclass(frozen=True)
class SceneSet:
    """classes: their names, in order of their numbers. fingerprint: SHA-256 of the tar file, in hexadecimal."""

    training: list[Scene]
    validation: list[Scene]
    classes: tuple[str, ...]
    fingerprint: str
    skipped_summary: ClassVar[str] = ""  # every scene can be used, or none


def load_scenes(archive: Path) -> SceneSet:
    """Read the scenes of the splits train and val, in order of name.

    Raises CannotRead for a file that is missing or no tar file; InvalidArgument for an incomplete one, for classes that
    export would refuse, and for labels of another size than their picture or of no class; and what reading a picture
    raises. Each names the archive and the file in it.
    """
    try:
        data = bytes(files.read(archive, ANY))
    except EdgecodecError as error:
        error.hint = error.hint or f"give one tar file; {_LAYOUT}"
        raise
    try:
        stored = _contents(data)
        classes = _classes(stored)
        splits: dict[str, list[Scene]] = {"train": [], "val": []}
        for file in sorted(stored):
            split, _, folder = str(file.parent).partition("/")
            if split in splits and folder == "images" and not file.name.startswith("."):
                splits[split].append(_scene(stored, file, len(classes)))
        for split, scenes in splits.items():
            if not scenes:
                raise InvalidArgument("has no pictures", where=f"{split}/images", hint=_LAYOUT)
    except EdgecodecError as error:
        error.where = f"{archive}: {error.where}" if error.where else str(archive)
        raise
    return SceneSet(splits["train"], splits["val"], classes, hashlib.sha256(data).hexdigest())


def _contents(data: bytes) -> dict[PurePosixPath, bytes]:
    try:
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            members = {member.name: archive.extractfile(member) for member in archive.getmembers() if member.isfile()}
            return {PurePosixPath(name): stream.read() for name, stream in members.items() if stream is not None}
    except (tarfile.TarError, OSError, ValueError, EOFError) as error:
        raise CannotRead(f"is not a tar file, or a damaged one: {error}", hint=_LAYOUT) from error


def _classes(stored: dict[PurePosixPath, bytes]) -> tuple[str, ...]:
    if _CLASS_LIST not in stored:
        raise InvalidArgument("is missing", where=str(_CLASS_LIST), hint=_LAYOUT)
    lines = stored[_CLASS_LIST].decode(errors="replace").splitlines()
    numbered = [line.split() for line in lines if line.strip() and not line.startswith("#")]
    names = {words[0]: words[1] for words in numbered if len(words) > 1}
    classes = tuple(names.get(str(number), "") for number in range(len(numbered)))
    if not classes or not all(classes):
        raise InvalidArgument(
            "does not number the classes from 0 up, each once and with a name", where=str(_CLASS_LIST), hint=_LAYOUT
        )
    if len(classes) > MOST_CLASSES:
        raise InvalidArgument(
            f"has {len(classes)} classes, but there can be {MOST_CLASSES} at most",
            where=str(_CLASS_LIST),
            hint="merge some of them",
        )
    for name in classes:
        if "," in name:
            raise InvalidArgument(
                f"has a comma in the name of a class, {name}",
                where=str(_CLASS_LIST),
                hint="leave it out: commas separate the names in a checkpoint",
            )
    return classes


def _scene(stored: dict[PurePosixPath, bytes], file: PurePosixPath, classes: int) -> Scene:
    label_file = file.parent.parent / "labels" / f"{file.stem}.png"
    if label_file not in stored:
        raise InvalidArgument(f"has no labels: there is no {label_file}", where=str(file), hint=_LAYOUT)
    photo = read_photo(stored[file], str(file))
    labels = _labels(stored[label_file], label_file)
    if labels.shape != photo.shape[:2]:
        height, width = labels.shape
        raise InvalidArgument(
            f"is {width}x{height}, its picture {photo.shape[1]}x{photo.shape[0]}",
            where=str(label_file),
            hint="resize the labels, without interpolation, to the size of the picture",
        )
    wrong = labels[(labels < 0) | (labels >= classes)]
    if wrong.size:
        raise InvalidArgument(
            f"has a label {wrong[0]}, but there are {classes} classes",
            where=str(label_file),
            hint=f"list the class in {_CLASS_LIST}",
        )
    return Scene(photo, labels.astype(np.uint8))


def _labels(content: bytes, file: PurePosixPath) -> npt.NDArray[Any]:
    """(H, W) whole numbers."""
    try:
        return read_numbers(content, ANY)
    except EdgecodecError as error:
        error.locate(str(file))
        raise


def random_labelled_crops(
    scenes: Sequence[Scene], side: int, batch: int, generator: np.random.Generator, *, mirror: Mirror = "horizontal"
) -> tuple[Tensor, Tensor]:
    """(batch, 3, side, side) in [0, 1] and their labels (batch, 1, side, side), both float32."""
    photos, labels = np.empty((batch, side, side, 3), np.uint8), np.empty((batch, side, side), np.uint8)
    for i in range(batch):
        scene = scenes[int(generator.integers(len(scenes)))]
        top, left = (int(generator.integers(length - side + 1)) for length in scene.labels.shape)
        crop, mirroring = (slice(top, top + side), slice(left, left + side)), draw_mirroring(mirror, generator)
        photos[i], labels[i] = scene.photo[crop][mirroring], scene.labels[crop][mirroring]
    return as_images(photos), torch.from_numpy(labels)[:, None].to(torch.float32)


def whole_scene(scene: Scene, multiple: int) -> tuple[Tensor, Tensor]:
    """(1, 3, H, W) in [0, 1] and labels (1, 1, H, W), float32, cropped at the right and bottom to a multiple."""
    image = whole_photo(scene.photo, multiple)
    height, width = image.shape[2:]
    return image, torch.from_numpy(scene.labels[:height, :width].copy())[None, None].to(torch.float32)


def random_masks(
    labels: Tensor,
    stride: int,
    generator: np.random.Generator,
    kinds: Sequence[MaskKind] = ("instances", "boxes"),
) -> Tensor:
    """Masks (B, 1, H/stride, W/stride) for labels (B, 1, H, W), 1 where details are kept, each of a random kind.

    Agustsson et al. 2019, section 3.2: of "instances" a quarter are kept, each by itself; "boxes" keep one box. A cell
    that has part of an instance is kept.
    """
    _, _, height, width = labels.shape
    masks = torch.zeros(len(labels), 1, height // stride, width // stride)
    for mask, plane in zip(masks, labels, strict=True):
        if kinds[int(generator.integers(len(kinds)))] == "instances":
            instances = instances_of(plane[0].numpy())
            kept = generator.random(instances.max() + 1) < INSTANCES_KEPT
            mask.copy_(nn.functional.max_pool2d(torch.from_numpy(kept[instances]).to(torch.float32)[None], stride))
        else:
            rows, columns = (np.sort(generator.integers(side + 1, size=2)) for side in mask.shape[1:])
            mask[:, slice(*rows), slice(*columns)] = 1
    return masks


def instances_of(labels: npt.NDArray[np.generic]) -> npt.NDArray[np.intp]:
    """Number each connected region of one class, from 0 up; returns the number of every position's region, (H, W).

    Where label maps have no instances, two cars that touch count as one.
    """
    instances, count = np.zeros(labels.shape, np.intp), 0
    for number in np.unique(labels):
        regions, found = label(labels == number)
        instances += np.where(regions, regions + count - 1, 0)
        count += found
    return instances
