"""Last stage: the decoder alone, for realism. Encoder and entropy model stay as they are, so files do not change.

The decoder minimises

    255^2 * (mse_weight * MSE + grid_weight * grid)
        + realism * (ms_ssim_weight * (1 - MS-SSIM) + adversarial_weight * softplus(-D(x)))

and the discriminator D the non-saturating loss of Mentzer et al. 2020, equation 7. D classifies patches and takes the
latent beside the image, as there. The cheapest detail that a decoder of pixel shuffles can produce is a grid with their
period, which D takes long to tell from texture; `grid` is how much of the error is one. realism is 1 where the knob is
alpha, which mixes this decoder with that of the stage before. A family whose decoder takes realism as a knob draws one
for every batch, and says how much it weighs.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from pytorch_msssim import ms_ssim
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from edgecodec.entropy_model import LatentSpec
from edgecodec_export.checkpoints import Checkpoint, load_model, read_checkpoint
from edgecodec_export.families import FAMILIES, LearnedCodec
from edgecodec_export.file_hash import sha256_of
from edgecodec_train.loop import train
from edgecodec_train.photos import PhotoSet, random_crops, require_sides, whole_photo
from edgecodec_train.progress import set_learning_rates
from edgecodec_train.stages.stage import Objective, Stage, channels_last

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
    warm_up: ClassVar[int] = 0
    fresh_factor: float = 10.0  # on the learning rate of layers that start in this stage, those that take the knob
    discriminator_learning_rate: float = 1e-3
    ms_ssim_weight: float = 2.0
    mse_weight: float = 5e-4
    adversarial_weight: float = 0.2
    grid_weight: float = 0.05
    faithful_share: float = 1 / 3  # of the batches asks for no realism, where that is a knob
    discriminator_alone: int = 200  # steps before the decoder learns from the discriminator
    gradient_norm: float = 1.0
    average_decay: float = 0.998
    bfloat16: bool = False  # convolutions in half the precision: twice as fast on processors that have it
    seed: int = 2


class PatchDiscriminator(nn.Module):
    """One logit per patch: (B, 3, H, W) image and (B, M, H/stride, W/stride) latent to (B, 1, H/8, W/8)."""

    LATENT_FEATURES = 12
    # Gain of the detail that a 3x3 mean removes. It alone tells a blurred picture from a real one, but beside the large
    # values of a picture it is so small that a discriminator of normalised layers needs hundreds of steps to find it.
    DETAIL_GAIN = 8.0

    def __init__(self, latent: LatentSpec, widths: tuple[int, int, int, int] = (32, 64, 128, 128)) -> None:
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
        # The last layer is not normalised: behind five that are, it has to move the logits away from zero.
        self.judge = nn.Sequential(*layers, nn.Conv2d(inputs, 1, 1))

    def forward(self, image: Tensor, latent: Tensor) -> Tensor:
        detail = image - nn.functional.avg_pool2d(image, 3, 1, 1, count_include_pad=False)
        logits: Tensor = self.judge(torch.cat([2 * image - 1, self.DETAIL_GAIN * detail, self.latent(latent)], 1))
        return logits


def train_adversarial(
    photos: PhotoSet,
    first_stage: Path,
    output: Path,
    recipe: AdversarialRecipe,
    save_every: int = 500,
    *,
    steer: bool = False,
) -> LearnedCodec:
    """Fine-tune the decoder of the checkpoint `first_stage`, or resume as `edgecodec_train.loop.train` does.

    Where a family has realism as a knob and the checkpoint's preset lacks it, `output` is of the preset that has it.

    Raises CannotRead and CheckpointRejected as read_checkpoint and load_model do, and ValueError for photographs that
    are smaller than crops or than MS-SSIM takes.
    """
    return train(Adversarial(photos, first_stage, recipe), output, save_every, steer=steer)


class Adversarial(Stage):
    """The last stage."""

    NAME = "adversarial"

    recipe: AdversarialRecipe

    def __init__(self, photos: PhotoSet, first_stage: Path, recipe: AdversarialRecipe) -> None:
        require_sides(photos.training, recipe.crop)
        torch.manual_seed(recipe.seed)
        stage_before = read_checkpoint(first_stage)
        checkpoint = _with_realism(stage_before)
        self.recipe, self.preset, self.notes = recipe, checkpoint.preset, {}
        self._photos = photos
        self.model = channels_last(load_model(checkpoint))
        alignment = self.model.latent_alignment()
        require_sides(photos.validation, -(-MS_SSIM_SIDE // alignment) * alignment)
        self.decisive = asdict(recipe) | {"photographs": photos.sha256, "first_stage": sha256_of(first_stage)}

        self.model.requires_grad_(False)
        prefixes = self.model.DECODER_PREFIXES
        decoder = {name: each for name, each in self.model.named_parameters() if name.startswith(prefixes)}
        for parameter in decoder.values():
            parameter.requires_grad_(True)
        learned = [parameter for name, parameter in decoder.items() if name in stage_before.tensors]
        fresh = [parameter for name, parameter in decoder.items() if name not in stage_before.tensors]
        self._weights = learned + fresh
        self._discriminator = channels_last(PatchDiscriminator(self.model.decoder_latents()[-1]))
        self._discriminator_loss = math.nan
        self._decoder_optimiser = torch.optim.Adam([{"params": learned}, {"params": fresh}], lr=recipe.learning_rate)
        self._discriminator_optimiser = torch.optim.Adam(
            self._discriminator.parameters(), lr=recipe.discriminator_learning_rate, betas=(0.5, 0.9)
        )

    def parts(self) -> dict[str, Any]:
        return {
            "discriminator": self._discriminator,
            "decoder_optimiser": self._decoder_optimiser,
            "discriminator_optimiser": self._discriminator_optimiser,
        }

    def set_learning_rates(self, rate: float) -> None:
        set_learning_rates(self._decoder_optimiser, rate, rate * self.recipe.fresh_factor)
        set_learning_rates(self._discriminator_optimiser, self.recipe.discriminator_learning_rate)

    def objectives(self, step: int, generator: np.random.Generator) -> Iterator[Objective]:
        recipe, model = self.recipe, self.model
        image = random_crops(self._photos.training, recipe.crop, recipe.batch, generator)
        knobs = model.draw_decoder_knobs(recipe.faithful_share, generator)
        realism = model.realism_weight(knobs)
        latents, condition = model.decoder_input(image, knobs)

        with self._precision():
            rebuilt = model.decode(*latents, **knobs)
        rebuilt = rebuilt.float()
        loss = recipe.mse_weight * 255**2 * nn.functional.mse_loss(rebuilt, image)
        loss = loss + recipe.grid_weight * 255**2 * grid_energy(rebuilt - image)
        loss = loss + realism * recipe.ms_ssim_weight * (1 - ms_ssim(rebuilt.clamp(0, 1), image, data_range=1.0))
        if step >= recipe.discriminator_alone:
            (logits,) = self._logits(condition, rebuilt)
            generator_loss = nn.functional.softplus(-logits).mean()
            loss = loss + realism * recipe.adversarial_weight * generator_loss
        yield Objective(loss, (self._decoder_optimiser,), self._weights)

        real, synthesised = self._logits(condition, image, rebuilt.detach())
        discriminator_loss = nn.functional.softplus(-real).mean() + nn.functional.softplus(synthesised).mean()
        self._discriminator_loss = float(discriminator_loss.detach())
        if realism:  # the discriminator learns nothing from pictures that need not look real
            yield Objective(realism * discriminator_loss, (self._discriminator_optimiser,))

    def _logits(self, condition: Tensor, *images: Tensor) -> list[Tensor]:
        """The discriminator's logits for each of the images; above 0 it takes a patch for a real one."""
        with self._precision():  # one context, which rounds the weights once
            return [self._discriminator(image, condition).float() for image in images]

    def _precision(self) -> torch.autocast:
        return torch.autocast("cpu", torch.bfloat16, enabled=self.recipe.bfloat16)

    def scores(self, averaged: LearnedCodec) -> Mapping[str, float]:
        """What `validate_decoder` gives, and the last loss of the discriminator."""
        return validate_decoder(averaged, self._photos) | {"discriminator_loss": self._discriminator_loss}


def _with_realism(checkpoint: Checkpoint) -> Checkpoint:
    """The checkpoint itself, or one of the preset that has realism as a knob."""
    family = FAMILIES.get(checkpoint.family)
    if family is None:  # which loading its model refuses
        return checkpoint
    preset, tensors = family.with_realism(checkpoint.preset, checkpoint.tensors)
    if preset == checkpoint.preset:
        return checkpoint
    return replace(checkpoint, preset=preset, configuration=family.PRESETS[preset], tensors=dict(tensors))


def grid_energy(error: Tensor) -> Tensor:
    """Mean square of the pattern that repeats every GRID_PERIOD pixels in a window of `error` (B, 3, H, W).

    Texture repeats by chance only, so the mean over a window removes most of it.
    """
    height, width = (side // GRID_PERIOD * GRID_PERIOD for side in error.shape[2:])
    phases = nn.functional.pixel_unshuffle(error[..., :height, :width], GRID_PERIOD)
    pattern = nn.functional.avg_pool2d(phases, GRID_WINDOW // GRID_PERIOD).unflatten(1, (3, GRID_PERIOD**2))
    return (pattern - pattern.mean(2, keepdim=True)).square().mean()


@torch.no_grad()
def validate_decoder(model: LearnedCodec, photos: PhotoSet) -> dict[str, float]:
    """Mean MS-SSIM, PSNR (dB) and grid (RMS, in levels of 255) over the held-out photographs.

    At each of the model's `validation_knobs`.
    """
    scores: dict[str, float] = {}
    for suffix, knobs in model.validation_knobs().items():
        similarity, psnr, grid = [], [], []
        for photo in photos.validation:
            image = whole_photo(photo, model.latent_alignment())
            rebuilt = model.decode(*model.decoder_input(image, knobs).latents, **knobs).clamp(0, 1)
            similarity.append(float(ms_ssim(rebuilt, image, data_range=1.0)))
            psnr.append(-10 * math.log10(float(nn.functional.mse_loss(rebuilt, image))))
            grid.append(float(grid_energy(rebuilt - image)))
        scores[f"ms_ssim{suffix}"] = sum(similarity) / len(similarity)
        scores[f"psnr_db{suffix}"] = sum(psnr) / len(psnr)
        scores[f"grid{suffix}"] = 255 * math.sqrt(sum(grid) / len(grid))
    return scores
