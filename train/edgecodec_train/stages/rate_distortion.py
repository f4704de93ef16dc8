"""First stage: every network of a codec, for rate + lambda * MSE.

Loss = bits per pixel + distortion_weight * 255^2 * mean squared error, with images in [0, 1] (Balle et al. 2018,
equation 10).
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

from edgecodec.errors import InvalidArgument
from edgecodec_export.checkpoints import load_model, read_checkpoint
from edgecodec_export.families import LearnedCodec, build
from edgecodec_export.families.codec import Rates
from edgecodec_export.file_hash import sha256_of
from edgecodec_export.layers.densities import FactorizedDensity
from edgecodec_train.loop import train
from edgecodec_train.photos import PhotoSet, random_crops, require_sides, whole_photo
from edgecodec_train.progress import set_learning_rates
from edgecodec_train.stages.stage import Objective, Stage, channels_last

START_CROPS = 64  # by which a model is initialised


@dataclass(frozen=True)
class RateDistortionRecipe:
    """Everything that decides the first stage's result, besides the photographs."""

    family: str = "hific"
    preset: str = "compact"
    distortion_weight: float = 0.004
    steps: int = 32_000
    batch: int = 8
    crop: int = 128
    learning_rate: float = 3e-4
    final_learning_rate: float = 1e-5
    warm_up: int = 100
    average_decay: float = 0.999
    gradient_norm: float = 1.0
    bfloat16: bool = False  # convolutions in half the precision: twice as fast on processors that have it
    seed: int = 1


def train_rate_distortion(
    photos: PhotoSet,
    output: Path,
    recipe: RateDistortionRecipe,
    save_every: int = 1000,
    encoder: Path | None = None,
    *,
    steer: bool = False,
) -> LearnedCodec:
    """Train a codec, or resume as `edgecodec_train.loop.train` does, and write it to the checkpoint `output`.

    encoder: a checkpoint of the recipe's codec to start from. Its encoder stays, and the decoder alone learns, which
    goes faster because the symbols keep their meaning.

    Raises InvalidArgument for an encoder of another codec, ValueError for photographs that are smaller than crops or
    than the codec takes, and what reading a checkpoint raises.
    """
    return train(RateDistortion(photos, recipe, encoder), output, save_every, steer=steer)


class RateDistortion(Stage):
    """The first stage."""

    NAME = "rate-distortion"

    recipe: RateDistortionRecipe

    def __init__(self, photos: PhotoSet, recipe: RateDistortionRecipe, encoder: Path | None = None) -> None:
        require_sides(photos.training, recipe.crop)
        torch.manual_seed(recipe.seed)
        self.recipe, self.preset, self.notes = recipe, recipe.preset, {}
        self._photos, self._decoder_alone = photos, encoder is not None
        self.model = channels_last(_fresh(photos, recipe) if encoder is None else _decoder_alone(encoder, recipe))
        require_sides(photos.validation, max(self.model.latent_alignment(), self.model.SMALLEST_SIDE))
        self.decisive = asdict(recipe) | {"photographs": photos.sha256, "encoder": encoder and sha256_of(encoder)}
        settle_norms(self.model)
        # Quantiles describe a density and have a loss of their own; a codec may have no such density.
        self._densities = _densities(self.model)
        quantiles = [density.quantiles for density in self._densities]
        auxiliary = {id(parameter) for parameter in quantiles}
        self._weights = [each for each in self.model.parameters() if each.requires_grad and id(each) not in auxiliary]
        self._optimiser = torch.optim.Adam(self._weights, lr=recipe.learning_rate)
        self._quantile_optimiser = torch.optim.Adam([{"params": quantiles}], lr=1e-3)

    def parts(self) -> dict[str, Any]:
        return {"optimiser": self._optimiser, "quantile_optimiser": self._quantile_optimiser}

    def set_learning_rates(self, rate: float) -> None:
        set_learning_rates(self._optimiser, rate)

    def objectives(self, step: int, generator: np.random.Generator) -> Iterator[Objective]:
        recipe = self.recipe
        image = random_crops(self._photos.training, recipe.crop, recipe.batch, generator)
        with torch.autocast("cpu", torch.bfloat16, enabled=recipe.bfloat16):
            rebuilt, rates, distortion_weight = training_pass(self.model, image, recipe.distortion_weight)
        bits_per_pixel = rates.total() / image[:, 0].numel()
        distortion = nn.functional.mse_loss(rebuilt.float(), image)
        loss = bits_per_pixel + distortion_weight * 255**2 * distortion
        loss = loss + sum(density.quantile_loss() for density in self._densities) * 1e-6
        yield Objective(loss, (self._optimiser, self._quantile_optimiser), self._weights)

    def settle(self, averaged: LearnedCodec) -> None:
        if not self._decoder_alone:
            settle_medians(averaged)

    def scores(self, averaged: LearnedCodec) -> Mapping[str, float]:
        return validate(averaged, self._photos)


def _fresh(photos: PhotoSet, recipe: RateDistortionRecipe) -> LearnedCodec:
    model = build(recipe.family, recipe.preset)
    model.initialise(random_crops(photos.training, recipe.crop, START_CROPS, np.random.default_rng(recipe.seed)))
    return model


def _decoder_alone(path: Path, recipe: RateDistortionRecipe) -> LearnedCodec:
    checkpoint = read_checkpoint(path)
    if (checkpoint.family, checkpoint.preset) != (recipe.family, recipe.preset):
        raise InvalidArgument(
            f"is {checkpoint.family} {checkpoint.preset}, not {recipe.family} {recipe.preset}", where=str(path)
        )
    model = load_model(checkpoint).train()
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name.startswith(model.DECODER_PREFIXES))
    return model


def training_pass(model: LearnedCodec, image: Tensor, distortion_weight: float) -> tuple[Tensor, Rates, float]:
    """Reconstruction, rates, and the weight of the distortion against them.

    A codec of many rates learns one of them in each batch, drawn at random, with its own weight; `distortion_weight` is
    that of its middle rate.
    """
    knobs, ratio = model.draw_rate()
    rebuilt, rates = model(image, **knobs)
    return rebuilt, rates, distortion_weight * ratio


def _densities(model: nn.Module) -> list[FactorizedDensity]:
    return [module for module in model.modules() if isinstance(module, FactorizedDensity)]


def settle_norms(model: nn.Module) -> None:
    """Let batch norms use their stored statistics, those of the start, and leave them as they are.

    The statistics of a batch of few crops depend on what these show and on the rate, which hides brightness from the
    decoder; outside training the stored ones are used anyway.
    """
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()


@torch.no_grad()
def settle_medians(model: nn.Module, steps: int = 60) -> None:
    """Move the stored medians to the medians of each density by bisection of its monotone cumulative."""
    for density in _densities(model):
        quantiles = density.quantiles
        low, high = torch.full_like(quantiles[:, :, 1:2], -256.0), torch.full_like(quantiles[:, :, 1:2], 256.0)
        for _ in range(steps):
            middle = (low + high) / 2
            above = density.logits_cumulative(middle) > 0
            low, high = torch.where(above, low, middle), torch.where(above, middle, high)
        quantiles[:, :, 1:2] = (low + high) / 2


@torch.no_grad()
def validate(model: LearnedCodec, photos: PhotoSet) -> dict[str, float]:
    """Mean bits per pixel and mean PSNR in dB of rounded latents, over the held-out photographs."""
    model.eval()
    bits_per_pixel, psnr = [], []
    for photo in photos.validation:
        image = whole_photo(photo, model.latent_alignment())
        rebuilt, rates = model(image)
        error = nn.functional.mse_loss(rebuilt.clamp(0, 1), image)
        bits_per_pixel.append(float(rates.total()) / image[:, 0].numel())
        psnr.append(-10 * math.log10(float(error)))
    return {
        "bits_per_pixel": sum(bits_per_pixel) / len(bits_per_pixel),
        "psnr_db": sum(psnr) / len(psnr),
    }
