"""Selective compression: every network of SC, from pictures with label maps and random masks.

Loss = mean squared error where details are kept, plus a small share of it where the generator synthesises from the
labels alone. The paper has an adversarial and a feature loss there; the squared error teaches mean colours and no
texture. As in the paper there is no rate term: the number of channels bounds the rate.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from edgecodec_export.families import LearnedCodec, build
from edgecodec_train.loop import train
from edgecodec_train.photos import require_sides
from edgecodec_train.progress import set_learning_rates
from edgecodec_train.scenes import SceneSet, random_labelled_crops, random_masks, whole_scene
from edgecodec_train.stages.stage import Objective, Stage, channels_last

FAMILY = "agustsson"
START_CROPS = 64  # by which the model is initialised


@dataclass(frozen=True)
class SelectiveRecipe:
    """Everything that decides the result, besides the scenes.

    painted_weight: weight of errors where the generator synthesises from the labels alone.
    """

    preset: str = "compact-sc"
    painted_weight: float = 0.1
    steps: int = 3000
    batch: int = 4
    crop: int = 128
    learning_rate: float = 5e-4
    final_learning_rate: float = 2e-5
    warm_up: int = 100
    average_decay: float = 0.998
    gradient_norm: float = 1.0
    seed: int = 1


def train_selective(
    scenes: SceneSet, output: Path, recipe: SelectiveRecipe, save_every: int = 500, *, steer: bool = False
) -> LearnedCodec:
    """Train SC, or resume as `edgecodec_train.loop.train` does, and write it to the checkpoint `output`.

    Raises ValueError for a preset with another number of classes than the scenes have, and for scenes that are smaller
    than crops or than the codec takes.
    """
    return train(Selective(scenes, recipe), output, save_every, steer=steer)


class Selective(Stage):
    """The only stage of SC."""

    NAME = "selective"

    recipe: SelectiveRecipe

    def __init__(self, scenes: SceneSet, recipe: SelectiveRecipe) -> None:
        require_sides((scene.photo for scene in scenes.training), recipe.crop)
        torch.manual_seed(recipe.seed)
        model = build(FAMILY, recipe.preset)
        if model.classes() != len(scenes.classes):
            raise ValueError(f"{recipe.preset} has {model.classes()} classes, the scenes have {len(scenes.classes)}")
        require_sides((scene.photo for scene in scenes.validation), model.SMALLEST_SIDE)
        start, _ = random_labelled_crops(scenes.training, recipe.crop, START_CROPS, np.random.default_rng(recipe.seed))
        model.initialise(start)
        self.recipe, self.preset, self.notes = recipe, recipe.preset, {"classes": ",".join(scenes.classes)}
        self.decisive = asdict(recipe) | {"scenes": scenes.sha256}
        self._scenes = scenes
        self.model = channels_last(model)
        self._weights = list(model.parameters())
        self._optimiser = torch.optim.Adam(self._weights, lr=recipe.learning_rate)

    def parts(self) -> dict[str, Any]:
        return {"optimiser": self._optimiser}

    def set_learning_rates(self, rate: float) -> None:
        set_learning_rates(self._optimiser, rate)

    def objectives(self, step: int, generator: np.random.Generator) -> Iterator[Objective]:
        recipe, stride = self.recipe, mask_stride(self.model)
        image, labels = random_labelled_crops(self._scenes.training, recipe.crop, recipe.batch, generator)
        mask = random_masks(labels, stride, generator)
        rebuilt, _ = self.model(image, labels, mask)
        weight = recipe.painted_weight + (1 - recipe.painted_weight) * _at_full_size(mask, stride)
        loss = (weight * (rebuilt - image).square()).mean()
        yield Objective(loss, (self._optimiser,), self._weights)

    def scores(self, averaged: LearnedCodec) -> Mapping[str, float]:
        return validate_selective(averaged, self._scenes)


def mask_stride(model: LearnedCodec) -> int:
    """Pixels on a side of one position of the mask."""
    (stride,) = (latent.stride for latent in model.side_latents() if latent.name == "mask")
    return stride


@torch.no_grad()
def validate_selective(model: LearnedCodec, scenes: SceneSet) -> dict[str, float]:
    """Scores over the validation scenes, each with a mask that is the same every time.

    Bits of a static code per pixel, labels and masks not counted; and PSNR in dB of all pixels that are kept, and of
    all that are synthesised ("painted"); NaN where there are none.
    """
    generator, stride = np.random.default_rng(0), mask_stride(model)
    bits, errors, pixels = 0.0, [0.0, 0.0], [0.0, 0.0]
    for scene in scenes.validation:
        image, labels = whole_scene(scene, model.ALIGNMENT)
        mask = random_masks(labels, stride, generator)
        rebuilt, rates = model(image, labels, mask)
        bits += float(rates.total())
        error = (rebuilt - image).square().mean(1, keepdim=True)
        kept = _at_full_size(mask, stride)
        for i, where in enumerate((kept, 1 - kept)):
            errors[i] += float((error * where).sum())
            pixels[i] += float(where.sum())
    psnr_kept, psnr_painted = (
        -10 * math.log10(error / count) if count else math.nan for error, count in zip(errors, pixels, strict=True)
    )
    return {"bits_per_pixel": bits / sum(pixels), "psnr_kept_db": psnr_kept, "psnr_painted_db": psnr_painted}


def _at_full_size(mask: Tensor, stride: int) -> Tensor:
    return nn.functional.interpolate(mask, scale_factor=stride)
