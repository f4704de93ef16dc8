"""Batches of crops for training, and held-out pictures for validation: photographs, or scenes with label maps."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from edgecodec.errors import InvalidArgument
from edgecodec_export.families import LearnedCodec
from edgecodec_train.data.crops import random_crops, require_sides, whole_photo
from edgecodec_train.data.photographs import PhotoSet, open_photographs
from edgecodec_train.data.prefetch import Prefetch
from edgecodec_train.data.scenes import SceneSet, load_scenes, random_labelled_crops, random_masks, whole_scene
from edgecodec_train.device import Device
from edgecodec_train.recipe import Data, Validation
from edgecodec_train.recipe_checks import check_crop

AHEAD = 4  # batches that are made before they are needed
LONGEST_SIDE = 1024  # pixels of a held-out picture that are used


@dataclass(frozen=True)
class Batch:
    """image: (B, 3, H, W) in [0, 1]. labels: (B, 1, H, W) numbers of classes. mask: (B, 1, H/s, W/s), 1 where kept."""

    image: Tensor
    labels: Tensor | None = None
    mask: Tensor | None = None

    def to(self, device: Device) -> Batch:
        """The same batch on the device."""
        moved = {name: tensor.to(device.name) for name, tensor in vars(self).items() if tensor is not None}
        moved["image"] = moved["image"].contiguous(memory_format=torch.channels_last)
        return replace(self, **moved)

    def side(self, model: LearnedCodec) -> dict[str, Tensor]:
        """The side inputs that the model takes, by name."""
        return {latent.name: getattr(self, latent.name) for latent in model.side_latents()}

    def kept(self) -> Tensor | None:
        """(B, 1, H, W): 1 where the mask keeps details; None without a mask."""
        if self.mask is None:
            return None
        return nn.functional.interpolate(self.mask, size=self.image.shape[2:])

    def kept_of(self, picture: Tensor) -> Tensor:
        """`picture` where details are kept, and the image itself in other places."""
        kept = self.kept()
        return picture if kept is None else kept * picture + (1 - kept) * self.image

    def mse_weight(self, elsewhere: float) -> Tensor | None:
        """(B, 1, H, W): 1 where details are kept, `elsewhere` in other places; None without a mask."""
        kept = self.kept()
        return None if kept is None else elsewhere + (1 - elsewhere) * kept


class Batches(ABC):
    """Training batches by step, and held-out pictures.

    classes: of label maps, 0 without. notes: for checkpoints.
    """

    classes: int
    notes: Mapping[str, str]

    def __init__(self, data: Data, workers: int = 1) -> None:
        """workers: threads that make batches ahead of time."""
        self._data, self._workers = data, workers
        self._prefetch: Prefetch[Batch] | None = None
        self._seed = 0

    @abstractmethod
    def check(self, model: LearnedCodec) -> None:
        """Raise InvalidArgument where the model cannot take these crops or these classes; remember its mask."""

    @abstractmethod
    def starting_crops(self, count: int, seed: int) -> Tensor:
        """(count, 3, side, side) by which a model is initialised."""

    @abstractmethod
    def validation(self, model: LearnedCodec) -> Iterator[Batch]:
        """The held-out pictures one by one, each a batch of one, cut to sizes that the model takes."""

    @abstractmethod
    def _make(self, generator: np.random.Generator) -> Batch: ...

    def get(self, seed: int, step: int) -> Batch:
        """The batch of a step, which depends on the seed and the step alone. The next ones are made in a thread."""
        if self._prefetch is None or self._seed != seed:
            self.close()
            self._seed = seed
            self._prefetch = Prefetch(self._made, self._workers, AHEAD)
        return self._prefetch.get(step)

    def _made(self, step: int) -> Batch:
        return self._make(np.random.default_rng((self._seed, step, 0)))

    def close(self) -> None:
        """End the thread that makes batches."""
        if self._prefetch is not None:
            self._prefetch.close()
            self._prefetch = None

    def _least_side(self, model: LearnedCodec) -> int:
        """Of a picture that the model takes, once it is cut to its multiples."""
        multiple = model.latent_alignment()
        return -(-model.SMALLEST_SIDE // multiple) * multiple


class PhotographBatches(Batches):
    """Crops of photographs."""

    classes = 0

    def __init__(self, data: Data, photographs: PhotoSet, workers: int = 1) -> None:
        super().__init__(data, workers)
        self._photographs = photographs
        self.notes = {"photographs": photographs.fingerprint}

    def check(self, model: LearnedCodec) -> None:
        if model.side_latents():
            raise InvalidArgument("needs label maps", where="data.kind", hint='set data.kind = "scenes"')
        check_crop(model, self._data.crop)
        least = self._least_side(model)
        if all(min(photo.shape[:2]) < least for photo in self._photographs.validation):
            require_sides(self._photographs.validation, least)

    def starting_crops(self, count: int, seed: int) -> Tensor:
        return self._crops(count, np.random.default_rng((seed, 2)))

    def _make(self, generator: np.random.Generator) -> Batch:
        return Batch(self._crops(self._data.batch, generator))

    def _crops(self, count: int, generator: np.random.Generator) -> Tensor:
        data = self._data
        downscale = (data.downscale[0], data.downscale[1]) if data.downscale else None
        pictures = self._photographs.training
        return random_crops(pictures, data.crop, count, generator, mirror=data.mirror, downscale=downscale)

    def validation(self, model: LearnedCodec) -> Iterator[Batch]:
        multiple = model.latent_alignment()
        least = self._least_side(model)
        for photo in self._photographs.validation:
            if min(photo.shape[:2]) >= least:
                yield Batch(whole_photo(photo[:LONGEST_SIDE, :LONGEST_SIDE], multiple))


class SceneBatches(Batches):
    """Crops of scenes with their label maps, and masks for a model that takes any."""

    def __init__(self, data: Data, scenes: SceneSet, workers: int = 1) -> None:
        super().__init__(data, workers)
        self._scenes, self.classes = scenes, len(scenes.classes)
        self._mask_stride: int | None = None
        self.notes = {"scenes": scenes.fingerprint}

    def check(self, model: LearnedCodec) -> None:
        check_crop(model, self._data.crop)
        if self._data.downscale:
            raise InvalidArgument("scenes are not made smaller", where="data.downscale")
        require_sides((scene.photo for scene in self._scenes.training), self._data.crop)
        require_sides((scene.photo for scene in self._scenes.validation), self._least_side(model))
        strides = [latent.stride for latent in model.side_latents() if latent.name == "mask"]
        self._mask_stride = strides[0] if strides else None
        if model.side_latents():
            self.notes = {**self.notes, "classes": ",".join(self._scenes.classes)}
            if model.classes() != self.classes:
                raise InvalidArgument(
                    f"the checkpoint has {model.classes()} classes, the scenes have {self.classes}",
                    where="data",
                    hint="start from one of these classes, or from none",
                )

    def starting_crops(self, count: int, seed: int) -> Tensor:
        image, _ = random_labelled_crops(
            self._scenes.training, self._data.crop, count, np.random.default_rng((seed, 2)), mirror=self._data.mirror
        )
        return image

    def _make(self, generator: np.random.Generator) -> Batch:
        data = self._data
        image, labels = random_labelled_crops(
            self._scenes.training, data.crop, data.batch, generator, mirror=data.mirror
        )
        return Batch(image, labels, self._mask(labels, generator))

    def _mask(self, labels: Tensor, generator: np.random.Generator) -> Tensor | None:
        if self._mask_stride is None:
            return None
        return random_masks(labels, self._mask_stride, generator, self._data.masks)

    def validation(self, model: LearnedCodec) -> Iterator[Batch]:
        """Each scene has a mask that is the same every time."""
        generator = np.random.default_rng(0)
        for scene in self._scenes.validation:
            image, labels = whole_scene(scene, model.latent_alignment())
            yield Batch(image, labels, self._mask(labels, generator))


Opened = PhotoSet | SceneSet


def open_data(data: Data, source: Path, validation: Validation) -> Opened:
    """The pictures that a recipe is trained and validated on. Raises what reading them raises."""
    if data.kind == "scenes":
        return load_scenes(source)
    return open_photographs(source, held_out=validation.one_in, most_held_out=validation.photographs)


def make_batches(data: Data, opened: Opened, workers: int = 1) -> Batches:
    """Batches of one stage. workers: threads that make them ahead of time."""
    if isinstance(opened, SceneSet):
        return SceneBatches(data, opened, workers)
    return PhotographBatches(data, opened, workers)
