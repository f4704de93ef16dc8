"""Selective compression: every network of SC, from pictures with label maps and random masks.

Loss = mean squared error where details are kept, plus a small part of that where the generator paints from the labels
alone. The paper has an adversarial and a feature loss there; the squared error teaches it mean colours and no texture.
Like the paper there is no rate term: the number of channels bounds the rate. The learning rate falls along a cosine;
what is saved is the running average of the weights.
"""

from __future__ import annotations

import logging
import math
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from edgecodec_export.families import Agustsson, build
from edgecodec_train.photos import require_sides
from edgecodec_train.progress import Run, cosine, set_learning_rates
from edgecodec_train.scenes import SceneSet, random_labelled_crops, random_masks, whole_scene
from edgecodec_train.starts import STARTS

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class SelectiveRecipe:
    """Everything that decides the result, besides the scenes. painted_weight: of errors where nothing is kept."""

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
) -> Agustsson:
    """Train, or resume from `output`.state, and write the averaged weights to the checkpoint `output`.

    steer: resume with another recipe than the run had so far.

    Every `save_every` steps the training state is saved beside the checkpoint and a row is added to `output`.csv: step,
    learning rate, and what `validate_selective` gives.

    Raises InvalidArgument as `Run.resume` does, ValueError for a preset with another number of classes than the scenes
    have, and for scenes that are smaller than crops or than the codec takes.
    """
    require_sides((scene.photo for scene in scenes.training), recipe.crop)
    torch.manual_seed(recipe.seed)
    model = build("agustsson", recipe.preset)
    assert isinstance(model, Agustsson)
    if model.classes() != len(scenes.classes):
        raise ValueError(f"{recipe.preset} has {model.classes()} classes, the scenes have {len(scenes.classes)}")
    require_sides((scene.photo for scene in scenes.validation), model.SMALLEST_SIDE)
    start, _ = random_labelled_crops(scenes.training, recipe.crop, 64, np.random.default_rng(recipe.seed))
    STARTS[Agustsson](model, start)
    model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    averaged = torch.optim.swa_utils.AveragedModel(
        model, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(recipe.average_decay)
    )
    optimiser = torch.optim.Adam(model.parameters(), lr=recipe.learning_rate)
    parts = {"model": model, "averaged": averaged, "optimiser": optimiser}
    decisive = asdict(recipe) | {"scenes": scenes.sha256}
    run = Run(output, "selective", recipe.preset, parts, decisive, {"classes": ",".join(scenes.classes)})
    first = run.resume(steer=steer)
    for step in range(first, recipe.steps):
        generator = np.random.default_rng((recipe.seed, step))
        image, labels = random_labelled_crops(scenes.training, recipe.crop, recipe.batch, generator)
        mask = random_masks(labels, model.latent_stride, generator)
        image = image.contiguous(memory_format=torch.channels_last)
        rate = cosine(step, recipe.steps, recipe.learning_rate, recipe.final_learning_rate, recipe.warm_up)
        set_learning_rates(optimiser, rate)
        rebuilt, _ = model(image, labels, mask)
        kept = _at_full_size(mask, model.latent_stride)
        weight = recipe.painted_weight + (1 - recipe.painted_weight) * kept
        loss = (weight * (rebuilt - image).square()).mean()
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), recipe.gradient_norm)
        optimiser.step()
        averaged.update_parameters(model)
        done = step + 1
        if done % save_every == 0 or done == recipe.steps:
            bpp, psnr_kept, psnr_painted = validate_selective(averaged.module, scenes)
            logger.info("step %d  %.4f bpp  %.2f dB kept  %.2f dB painted", done, bpp, psnr_kept, psnr_painted)
            scores = {"bits_per_pixel": bpp, "psnr_kept_db": psnr_kept, "psnr_painted_db": psnr_painted}
            run.save(done, learning_rate=rate, **scores)
    return averaged.module  # type: ignore[return-value]


@torch.no_grad()
def validate_selective(model: Agustsson, scenes: SceneSet) -> tuple[float, float, float]:
    """Over the validation scenes, each with a mask that is always the same one: bits of a static code per pixel, labels
    and masks not counted; and PSNR in dB of all that is kept, and of all that is not; NaN where that is nothing."""
    generator = np.random.default_rng(0)
    bits, errors, pixels = 0.0, [0.0, 0.0], [0.0, 0.0]
    for scene in scenes.validation:
        image, labels = whole_scene(scene, model.ALIGNMENT)
        mask = random_masks(labels, model.latent_stride, generator)
        rebuilt, rates = model(image, labels, mask)
        bits += float(sum(rates))
        error = (rebuilt - image).square().mean(1, keepdim=True)
        kept = _at_full_size(mask, model.latent_stride)
        for i, where in enumerate((kept, 1 - kept)):
            errors[i] += float((error * where).sum())
            pixels[i] += float(where.sum())
    psnr_kept, psnr_painted = (
        -10 * math.log10(error / count) if count else math.nan for error, count in zip(errors, pixels, strict=True)
    )
    return bits / sum(pixels), psnr_kept, psnr_painted


def _at_full_size(mask: Tensor, stride: int) -> Tensor:
    return nn.functional.interpolate(mask, scale_factor=stride)
