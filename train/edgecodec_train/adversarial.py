"""Last stage: the decoder alone, for realism. Encoder and entropy model stay as they are, so files do not change.

The decoder minimises

    255^2 * (mse_weight * MSE + grid_weight * grid)
        + realism * (ms_ssim_weight * (1 - MS-SSIM) + adversarial_weight * softplus(-D(x)))

and the discriminator D the non-saturating loss of Mentzer et al. 2020, equation 7. D judges patches and sees the latent
beside the image, as there. The cheapest detail that a decoder of pixel shuffles can draw is a grid with their period,
which D takes long to tell from texture; `grid` is how much of the error is one. Where the knob is alpha, which mixes
this decoder with the stage's before, realism is 1. CRDR's decoder hears beta instead, one drawn for every batch, and
realism is in proportion to it (Iwai et al. 2024).
"""

from __future__ import annotations

import logging
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from pytorch_msssim import ms_ssim
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from edgecodec_export.checkpoints import load_model, read_checkpoint
from edgecodec_export.families import Crdr, LearnedCodec, ScaleHyperprior
from edgecodec_export.families.codec import Latent
from edgecodec_export.families.crdr import LARGEST_BETA, fixed_point
from edgecodec_export.file_hash import sha256_of
from edgecodec_train.photos import PhotoSet, random_crops, require_sides, whole_photo
from edgecodec_train.progress import Run, cosine, set_learning_rates
from edgecodec_train.starts.crdr import add_realism

logger = logging.getLogger(__name__)


Knobs = dict[str, float]  # of `decode`, by name

BETA_STEPS = 100  # beta is drawn from this many values above 0, evenly spaced
UNIT_BETA = LARGEST_BETA / 2  # where realism is 1

MS_SSIM_SIDE = 161  # pixels, the smallest side that its five scales take

GRID_PERIOD = 4  # pixels, of the last two doublings
GRID_WINDOW = 32  # pixels


@dataclass(frozen=True)
class AdversarialRecipe:
    """Everything that decides this stage's result, besides the photographs and the checkpoint it starts from."""

    steps: int = 2500
    batch: int = 4
    crop: int = 192  # MS_SSIM_SIDE or more
    learning_rate: float = 2e-4
    final_learning_rate: float = 1e-5
    fresh_factor: float = 10.0  # on the learning rate of what starts in this stage: the layers that hear beta
    discriminator_learning_rate: float = 1e-3
    ms_ssim_weight: float = 2.0
    mse_weight: float = 5e-4
    adversarial_weight: float = 0.2
    grid_weight: float = 0.05
    faithful_share: float = 1 / 3  # of the batches has beta 0, where there is a beta
    discriminator_alone: int = 200  # steps before its judgement counts
    gradient_norm: float = 1.0
    average_decay: float = 0.998
    bfloat16: bool = False  # convolutions in half the precision: twice as fast on processors that have it
    seed: int = 2


class PatchDiscriminator(nn.Module):
    """One logit per patch: (B, 3, H, W) image and (B, M, H/stride, W/stride) latent to (B, 1, H/8, W/8)."""

    LATENT_FEATURES = 12
    # Gain of what a 3x3 mean leaves out. Beside the broad tones of a picture it is so faint that a discriminator of
    # normalised layers takes hundreds of steps to find it, and it is all that tells a blurred picture from a real one.
    DETAIL_GAIN = 8.0

    def __init__(self, latent: Latent, widths: tuple[int, int, int, int] = (32, 64, 128, 128)) -> None:
        super().__init__()
        self.latent = nn.Sequential(
            spectral_norm(nn.Conv2d(latent.channels, self.LATENT_FEATURES, 3, padding=1)),
            nn.LeakyReLU(0.2),
            nn.Upsample(scale_factor=latent.stride),
        )
        layers: list[nn.Module] = []
        inputs = 3 + 3 + self.LATENT_FEATURES
        for width, stride in zip(widths, (2, 2, 2, 1), strict=True):
            layers += [spectral_norm(nn.Conv2d(inputs, width, 4 if stride == 2 else 3, stride, 1)), nn.LeakyReLU(0.2)]
            inputs = width
        # The last layer is free: behind five normalised ones it has to lift the logits off zero.
        self.judge = nn.Sequential(*layers, nn.Conv2d(inputs, 1, 1))

    def forward(self, image: Tensor, latent: Tensor) -> Tensor:
        detail = image - nn.functional.avg_pool2d(image, 3, 1, 1, count_include_pad=False)
        return self.judge(torch.cat([2 * image - 1, self.DETAIL_GAIN * detail, self.latent(latent)], 1))


class DecoderInput(NamedTuple):
    """What a batch becomes on its way through the frozen part of a codec.

    latents: what `decode` takes. shown: (B, M, H/stride, W/stride), what the discriminator sees beside the image.
    """

    latents: tuple[Tensor, ...]
    shown: Tensor


@torch.no_grad()
def decoder_input(model: LearnedCodec, image: Tensor, knobs: Knobs) -> DecoderInput:
    """Encode (B, 3, H, W) in [0, 1] as a file would be, rounding and all."""
    if isinstance(model, Crdr):
        y = model.analyse(image, knobs["quality"])
        y_hat = torch.cat([part.y_hat for part in model.slices_of(model.hyperlatent_symbols(y), y)], 1)
        return DecoderInput((fixed_point(y_hat),), y_hat)
    latents = model.encode(image)
    return DecoderInput(latents, model.rebuild(*latents) if isinstance(model, ScaleHyperprior) else latents[-1])


def draw_knobs(model: LearnedCodec, faithful_share: float, generator: np.random.Generator) -> Knobs:
    """The knobs of one batch: for CRDR one of the trained rates, and a beta."""
    if not isinstance(model, Crdr):
        return {}
    faithful = generator.random() < faithful_share
    beta = 0.0 if faithful else LARGEST_BETA * int(generator.integers(1, BETA_STEPS + 1)) / BETA_STEPS
    return {"quality": float(generator.integers(model.levels)), "beta": beta}


def realism_at(knobs: Knobs) -> float:
    """Weight of realism for a batch with these knobs."""
    return knobs["beta"] / UNIT_BETA if "beta" in knobs else 1.0


def train_adversarial(
    photos: PhotoSet,
    first_stage: Path,
    output: Path,
    recipe: AdversarialRecipe,
    save_every: int = 500,
    *,
    steer: bool = False,
) -> LearnedCodec:
    """Fine-tune the decoder of the checkpoint `first_stage`, or resume from `output`.state, and write `output`.

    A CRDR of many rates gets beta here, and with it the preset that has it. steer: resume with another recipe than the
    run had so far.

    Raises CannotRead and CheckpointRejected as read_checkpoint and load_model do, InvalidArgument as `Run.resume` does,
    and ValueError for photographs that are smaller than crops or than MS-SSIM takes.
    """
    require_sides(photos.training, recipe.crop)
    torch.manual_seed(recipe.seed)
    stage_before = read_checkpoint(first_stage)
    checkpoint = add_realism(stage_before)
    model = load_model(checkpoint).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    alignment = model.latent_alignment()
    require_sides(photos.validation, -(-MS_SSIM_SIDE // alignment) * alignment)
    model.requires_grad_(False)
    decoder = {name: each for name, each in model.named_parameters() if name.startswith(model.DECODER_PREFIXES)}
    for parameter in decoder.values():
        parameter.requires_grad_(True)
    learned = [parameter for name, parameter in decoder.items() if name in stage_before.tensors]
    fresh = [parameter for name, parameter in decoder.items() if name not in stage_before.tensors]
    averaged = torch.optim.swa_utils.AveragedModel(
        model, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(recipe.average_decay)
    )
    discriminator = PatchDiscriminator(model.decoder_latents()[-1]).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    decoder_optimiser = torch.optim.Adam([{"params": learned}, {"params": fresh}], lr=recipe.learning_rate)
    discriminator_optimiser = torch.optim.Adam(
        discriminator.parameters(), lr=recipe.discriminator_learning_rate, betas=(0.5, 0.9)
    )
    parts = {
        "model": model,
        "averaged": averaged,
        "discriminator": discriminator,
        "decoder_optimiser": decoder_optimiser,
        "discriminator_optimiser": discriminator_optimiser,
    }
    decisive = asdict(recipe) | {"photographs": photos.sha256, "first_stage": sha256_of(first_stage)}
    run = Run(output, "adversarial", checkpoint.preset, parts, decisive)
    first = run.resume(steer=steer)
    for step in range(first, recipe.steps):
        generator = np.random.default_rng((recipe.seed, step))
        image = random_crops(photos.training, recipe.crop, recipe.batch, generator)
        image = image.contiguous(memory_format=torch.channels_last)
        knobs = draw_knobs(model, recipe.faithful_share, generator)
        realism = realism_at(knobs)
        latents, shown = decoder_input(model, image, knobs)
        rate = cosine(step, recipe.steps, recipe.learning_rate, recipe.final_learning_rate)
        set_learning_rates(decoder_optimiser, rate, rate * recipe.fresh_factor)
        set_learning_rates(discriminator_optimiser, recipe.discriminator_learning_rate)

        with torch.autocast("cpu", torch.bfloat16, enabled=recipe.bfloat16):
            rebuilt = model.decode(*latents, **knobs)
        rebuilt = rebuilt.float()
        loss = recipe.mse_weight * 255**2 * nn.functional.mse_loss(rebuilt, image)
        loss = loss + recipe.grid_weight * 255**2 * grid_energy(rebuilt - image)
        loss = loss + realism * recipe.ms_ssim_weight * (1 - ms_ssim(rebuilt.clamp(0, 1), image, data_range=1.0))
        if step >= recipe.discriminator_alone:
            with torch.autocast("cpu", torch.bfloat16, enabled=recipe.bfloat16):
                believed = nn.functional.softplus(-discriminator(rebuilt, shown).float()).mean()
            loss = loss + realism * recipe.adversarial_weight * believed
        decoder_optimiser.zero_grad()
        loss.backward(inputs=learned + fresh)
        nn.utils.clip_grad_norm_(learned + fresh, recipe.gradient_norm)
        decoder_optimiser.step()
        averaged.update_parameters(model)

        with torch.autocast("cpu", torch.bfloat16, enabled=recipe.bfloat16):
            judged = discriminator(image, shown).float(), discriminator(rebuilt.detach(), shown).float()
        doubt = nn.functional.softplus(-judged[0]).mean() + nn.functional.softplus(judged[1]).mean()
        if realism:  # what need not look real teaches the discriminator nothing
            discriminator_optimiser.zero_grad()
            (realism * doubt).backward()
            discriminator_optimiser.step()

        done = step + 1
        if done % save_every == 0 or done == recipe.steps:
            scores = validate_decoder(averaged.module, photos) | {"discriminator_loss": float(doubt.detach())}
            logger.info("step %d  %s", done, "  ".join(f"{name} {score:.4f}" for name, score in scores.items()))
            run.save(done, learning_rate=rate, **scores)
    return averaged.module  # type: ignore[return-value]


def grid_energy(error: Tensor) -> Tensor:
    """Mean square of the pattern that repeats every GRID_PERIOD pixels in a window of `error` (B, 3, H, W).

    Texture repeats by chance only, and the mean over a window leaves little of it.
    """
    height, width = (side // GRID_PERIOD * GRID_PERIOD for side in error.shape[2:])
    phases = nn.functional.pixel_unshuffle(error[..., :height, :width], GRID_PERIOD)
    pattern = nn.functional.avg_pool2d(phases, GRID_WINDOW // GRID_PERIOD).unflatten(1, (3, GRID_PERIOD**2))
    return (pattern - pattern.mean(2, keepdim=True)).square().mean()


@torch.no_grad()
def validate_decoder(model: LearnedCodec, photos: PhotoSet) -> dict[str, float]:
    """Mean MS-SSIM, PSNR (dB) and grid (RMS, in levels of 255) over the held-out photographs.

    For CRDR at its middle rate, at both ends of beta.
    """
    asked: dict[str, Knobs] = {"": {}}
    if isinstance(model, Crdr):
        middle = (model.levels - 1) / 2
        asked = {f"_beta_{beta:g}": {"quality": middle, "beta": beta} for beta in (0.0, LARGEST_BETA)}
    scores: dict[str, float] = {}
    for suffix, knobs in asked.items():
        similarity, psnr, grid = [], [], []
        for photo in photos.validation:
            image = whole_photo(photo, model.latent_alignment())
            rebuilt = model.decode(*decoder_input(model, image, knobs).latents, **knobs).clamp(0, 1)
            similarity.append(float(ms_ssim(rebuilt, image, data_range=1.0)))
            psnr.append(-10 * math.log10(float(nn.functional.mse_loss(rebuilt, image))))
            grid.append(float(grid_energy(rebuilt - image)))
        scores[f"ms_ssim{suffix}"] = sum(similarity) / len(similarity)
        scores[f"psnr_db{suffix}"] = sum(psnr) / len(psnr)
        scores[f"grid{suffix}"] = 255 * math.sqrt(sum(grid) / len(grid))
    return scores
