"""First stage: every network of a codec, for rate + lambda * MSE.

Loss = bits per pixel + distortion_weight * 255^2 * mean squared error, with images in [0, 1] (Balle et al. 2018,
equation 10). The learning rate falls along a cosine; what is saved is the running average of the weights.
"""

from __future__ import annotations

import logging
import math
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from edgecodec.errors import InvalidArgument
from edgecodec_export.checkpoints import load_model, read_checkpoint
from edgecodec_export.families import build
from edgecodec_export.families.blocks import FactorizedDensity
from edgecodec_export.families.codec import LearnedCodec
from edgecodec_export.families.hyperprior import Rates
from edgecodec_export.file_hash import sha256_of
from edgecodec_train.drawn_rates import DRAWN_RATES
from edgecodec_train.photos import PhotoSet, random_crops, require_sides, whole_photo
from edgecodec_train.progress import Run, cosine, set_learning_rates
from edgecodec_train.starts import STARTS

logger = logging.getLogger(__name__)


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
    """Train, or resume from `output`.state, and write the averaged weights to the checkpoint `output`.

    encoder: a checkpoint of the recipe's codec to start from. Its encoder stays, and the decoder alone learns, which
    goes faster when symbols mean what they meant. steer: resume with another recipe than the run had so far.

    Every `save_every` steps the training state is saved beside the checkpoint and a row is added to `output`.csv:
    step, learning rate, and bits per pixel and PSNR (dB) of rounded latents on the held-out photographs.

    Raises InvalidArgument for an encoder of another codec and as `Run.resume` does, ValueError for photographs that are
    smaller than crops or than the codec takes, and what reading a checkpoint raises.
    """
    require_sides(photos.training, recipe.crop)
    torch.manual_seed(recipe.seed)
    model = _start(photos, recipe) if encoder is None else _decoder_alone(encoder, recipe)
    require_sides(photos.validation, max(model.latent_alignment(), model.SMALLEST_SIDE))
    model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    averaged = torch.optim.swa_utils.AveragedModel(
        model, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(recipe.average_decay)
    )
    # Quantiles describe a density and have a loss of their own; a codec may have no such density.
    quantiles = [density.quantiles for density in _densities(model)]
    auxiliary = {id(parameter) for parameter in quantiles}
    weights = [each for each in model.parameters() if each.requires_grad and id(each) not in auxiliary]
    optimiser = torch.optim.Adam(weights, lr=recipe.learning_rate)
    quantile_optimiser = torch.optim.Adam([{"params": quantiles}], lr=1e-3)
    parts = {
        "model": model,
        "averaged": averaged,
        "optimiser": optimiser,
        "quantile_optimiser": quantile_optimiser,
    }
    decisive = asdict(recipe) | {"photographs": photos.sha256, "encoder": encoder and sha256_of(encoder)}
    run = Run(output, "rate-distortion", recipe.preset, parts, decisive)
    first = run.resume(steer=steer)
    settle_norms(model)
    for step in range(first, recipe.steps):
        # Crops and noise depend on the step alone, so a resumed run sees what an unbroken one would.
        generator = np.random.default_rng((recipe.seed, step))
        torch.manual_seed(recipe.seed * 1_000_003 + step)
        image = random_crops(photos.training, recipe.crop, recipe.batch, generator)
        image = image.contiguous(memory_format=torch.channels_last)
        rate = cosine(step, recipe.steps, recipe.learning_rate, recipe.final_learning_rate, recipe.warm_up)
        set_learning_rates(optimiser, rate)
        with torch.autocast("cpu", torch.bfloat16, enabled=recipe.bfloat16):
            rebuilt, rates, distortion_weight = training_pass(model, image, recipe.distortion_weight)
        bits_per_pixel = sum(rates) / image[:, 0].numel()
        distortion = nn.functional.mse_loss(rebuilt.float(), image)
        loss = bits_per_pixel + distortion_weight * 255**2 * distortion
        loss = loss + sum(density.quantile_loss() for density in _densities(model)) * 1e-6
        for each in (optimiser, quantile_optimiser):
            each.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(weights, recipe.gradient_norm)
        for each in (optimiser, quantile_optimiser):
            each.step()
        averaged.update_parameters(model)
        done = step + 1
        if done % save_every == 0 or done == recipe.steps:
            if encoder is None:
                settle_medians(averaged.module)
            bpp, psnr = validate(averaged.module, photos)
            logger.info("step %d  %.4f bpp  %.2f dB", done, bpp, psnr)
            run.save(done, learning_rate=rate, bits_per_pixel=bpp, psnr_db=psnr)
    return averaged.module  # type: ignore[return-value]


def _start(photos: PhotoSet, recipe: RateDistortionRecipe) -> LearnedCodec:
    model = build(recipe.family, recipe.preset)
    initialise = STARTS.get(type(model))
    if initialise is not None:
        initialise(model, random_crops(photos.training, recipe.crop, 64, np.random.default_rng(recipe.seed)))
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
    """Reconstruction, rates, and the weight of the distortion between them.

    A codec of many rates learns one of them a batch, drawn at random; `distortion_weight` is then that of its middle.
    """
    draw = DRAWN_RATES.get(type(model))
    if draw is None:
        return (*model(image), distortion_weight)
    drawn, ratio = draw(model)
    return (*model(image, drawn), distortion_weight * ratio)


def _densities(model: nn.Module) -> list[FactorizedDensity]:
    return [module for module in model.modules() if isinstance(module, FactorizedDensity)]


def settle_norms(model: nn.Module) -> None:
    """Batch norms take their stored statistics, those of the start, and leave them as they are.

    The statistics of a batch of few crops depend on what these show and on the rate, which hides brightness from the
    decoder; in use there are none.
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
def validate(model: LearnedCodec, photos: PhotoSet) -> tuple[float, float]:
    """Mean bits per pixel and mean PSNR in dB of rounded latents, over the held-out photographs."""
    model.eval()
    bits_per_pixel, psnr = [], []
    for photo in photos.validation:
        image = whole_photo(photo, model.latent_alignment()).contiguous(memory_format=torch.channels_last)
        rebuilt, rates = model(image)
        error = nn.functional.mse_loss(rebuilt.clamp(0, 1), image)
        bits_per_pixel.append(float(sum(rates)) / image[:, 0].numel())
        psnr.append(-10 * math.log10(float(error)))
    return sum(bits_per_pixel) / len(bits_per_pixel), sum(psnr) / len(psnr)
