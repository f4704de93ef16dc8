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
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy.ndimage import label
from torch import Tensor, nn

from edgecodec.errors import EdgecodecError
from edgecodec.limits import ANY
from edgecodec.picture import read_numbers
from edgecodec_train.photos import Photo, read_photo, whole_photo

Labels = npt.NDArray[np.uint8]  # (H, W)
MOST_CLASSES = 256  # that a label map can be coded with
INSTANCES_KEPT = 0.25  # of a crop


@dataclass(frozen=True)
class Scene:
    photo: Photo
    labels: Labels


@dataclass(frozen=True)
class SceneSet:
    """classes: their names, in order of their numbers. sha256: of the tar file."""

    training: list[Scene]
    validation: list[Scene]
    classes: tuple[str, ...]
    sha256: str


def load_scenes(archive: Path) -> SceneSet:
    """Read the scenes of the splits train and val, in order of name.

    Raises FileNotFoundError for a missing file; ValueError for an incomplete one, for classes that export would refuse,
    for labels of another size than their picture or of no class; and what reading a picture raises.
    """
    data = archive.read_bytes()
    with tarfile.open(fileobj=io.BytesIO(data)) as stored:
        members = {member.name: stored.extractfile(member) for member in stored.getmembers() if member.isfile()}
        files = {PurePosixPath(name): stream.read() for name, stream in members.items() if stream is not None}
    listed = files.get(PurePosixPath("classes.txt"), b"").decode().splitlines()
    numbered = sorted((int(line.split()[0]), line.split()[1]) for line in listed if line.strip() and line[0] != "#")
    if [number for number, _ in numbered] != list(range(len(numbered))):
        raise ValueError(f"{archive}: classes.txt does not number its classes from 0 up, each once")
    classes = tuple(name for _, name in numbered)
    if len(classes) > MOST_CLASSES:
        raise ValueError(f"{archive}: {len(classes)} classes, but there can be {MOST_CLASSES} at most")
    if any("," in name for name in classes):
        raise ValueError(f"{archive}: the name of a class has a comma, which separates names in a checkpoint")
    splits: dict[str, list[Scene]] = {"train": [], "val": []}
    for file in sorted(files):
        split, _, folder = str(file.parent).partition("/")
        if split in splits and folder == "images":
            splits[split].append(_scene(files, file, len(classes)))
    for split, scenes in splits.items():
        if not scenes:
            raise ValueError(f"{archive}: no pictures in {split}/images")
    return SceneSet(splits["train"], splits["val"], classes, hashlib.sha256(data).hexdigest())


def _scene(files: dict[PurePosixPath, bytes], file: PurePosixPath, classes: int) -> Scene:
    label_file = file.parent.parent / "labels" / f"{file.stem}.png"
    if label_file not in files:
        raise ValueError(f"{file}: there is no {label_file}")
    photo = read_photo(files[file], str(file))
    labels = _labels(files[label_file], label_file)
    if labels.shape != photo.shape[:2]:
        raise ValueError(f"{label_file}: is of shape {labels.shape}, its picture of {photo.shape[:2]}")
    wrong = labels[(labels < 0) | (labels >= classes)]
    if wrong.size:
        raise ValueError(f"{label_file}: there is a label {wrong[0]}, but there are {classes} classes")
    return Scene(photo, labels.astype(np.uint8))


def _labels(content: bytes, file: PurePosixPath) -> npt.NDArray[Any]:
    """(H, W) whole numbers."""
    try:
        return read_numbers(content, ANY)
    except EdgecodecError as error:
        error.locate(str(file))
        raise


def random_labelled_crops(
    scenes: Sequence[Scene], side: int, batch: int, generator: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """(batch, 3, side, side) in [0, 1] and labels (batch, 1, side, side), float32: half of the crops are mirrored."""
    photos, labels = np.empty((batch, side, side, 3), np.uint8), np.empty((batch, side, side), np.uint8)
    for i in range(batch):
        scene = scenes[int(generator.integers(len(scenes)))]
        top, left = (int(generator.integers(room - side + 1)) for room in scene.labels.shape)
        mirror = slice(None, None, -1 if generator.integers(2) else 1)
        crop = slice(top, top + side), slice(left, left + side)
        photos[i], labels[i] = scene.photo[crop][:, mirror], scene.labels[crop][:, mirror]
    image = torch.from_numpy(photos).permute(0, 3, 1, 2).to(torch.float32) / 255
    return image, torch.from_numpy(labels)[:, None].to(torch.float32)


def whole_scene(scene: Scene, multiple: int) -> tuple[Tensor, Tensor]:
    """(1, 3, H, W) in [0, 1] and labels (1, 1, H, W), float32, cropped at the right and bottom to a multiple."""
    image = whole_photo(scene.photo, multiple)
    height, width = image.shape[2:]
    return image, torch.from_numpy(scene.labels[:height, :width].copy())[None, None].to(torch.float32)


def random_masks(labels: Tensor, stride: int, generator: np.random.Generator) -> Tensor:
    """Masks (B, 1, H/stride, W/stride) for labels (B, 1, H, W), 1 where details are kept: half boxes, half instances.

    The two ways to draw masks of Agustsson et al. 2019, section 3.2: "random box", and "random instance", where every
    instance is kept with a probability of a quarter. A cell that has part of one is kept.
    """
    _, _, height, width = labels.shape
    masks = torch.zeros(len(labels), 1, height // stride, width // stride)
    for mask, plane in zip(masks, labels, strict=True):
        if generator.integers(2):
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
