"""Second stage: the decoder alone, for realism. Encoder and entropy model stay as they are, so files do not change.

The decoder minimises ms_ssim_weight * (1 - MS-SSIM) + mse_weight * 255^2 * MSE + adversarial_weight * softplus(-D(x)),
the discriminator the non-saturating loss of Mentzer et al. 2020, equation 7. The discriminator judges patches and sees
the latent beside the image, as there. Mixing this decoder with the first stage's is what alpha does.
"""

from __future__ import annotations

import json
import logging
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from pytorch_msssim import ms_ssim
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from edgecodec.export.checkpoint import load_model, read_checkpoint, save_checkpoint
from edgecodec.export.families.hyperprior import ALIGNMENT, LATENT_STRIDE, ScaleHyperprior
from edgecodec.train.photos import PhotoSet, random_crops, whole_photo
from edgecodec.train.progress import append_row, cosine

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class AdversarialRecipe:
    """Everything that decides the second stage's result, besides the photographs and the first stage's checkpoint."""

    steps: int = 2500
    batch: int = 4
    crop: int = 192  # MS-SSIM with five scales needs more than 160
    learning_rate: float = 2e-4
    final_learning_rate: float = 1e-5
    discriminator_learning_rate: float = 1e-3
    ms_ssim_weight: float = 2.0
    mse_weight: float = 5e-4
    adversarial_weight: float = 0.2
    discriminator_alone: int = 200  # steps before its judgement counts
    average_decay: float = 0.998
    seed: int = 2


class PatchDiscriminator(nn.Module):
    """One logit per patch: (B, 3, H, W) image and (B, M, H/16, W/16) latent to (B, 1, H/8, W/8)."""

    LATENT_FEATURES = 12

    def __init__(self, latent_channels: int, widths: tuple[int, int, int, int] = (32, 64, 128, 128)) -> None:
        super().__init__()
        self.latent = nn.Sequential(
            spectral_norm(nn.Conv2d(latent_channels, self.LATENT_FEATURES, 3, padding=1)),
            nn.LeakyReLU(0.2),
            nn.Upsample(scale_factor=LATENT_STRIDE),
        )
        layers: list[nn.Module] = []
        inputs = 3 + self.LATENT_FEATURES
        for width, stride in zip(widths, (2, 2, 2, 1), strict=True):
            layers += [spectral_norm(nn.Conv2d(inputs, width, 4 if stride == 2 else 3, stride, 1)), nn.LeakyReLU(0.2)]
            inputs = width
        # The last layer is free: behind five normalised ones it has to lift the logits off zero.
        self.judge = nn.Sequential(*layers, nn.Conv2d(inputs, 1, 1))

    def forward(self, image: Tensor, latent: Tensor) -> Tensor:
        return self.judge(torch.cat([2 * image - 1, self.latent(latent)], 1))


def train_adversarial(
    photos: PhotoSet, first_stage: Path, output: Path, recipe: AdversarialRecipe, save_every: int = 500
) -> ScaleHyperprior:
    """Fine-tune the decoder of the checkpoint `first_stage`, or resume from `output`.state, and write `output`.

    Raises CannotRead and CheckpointRejected as read_checkpoint and load_model do.
    """
    checkpoint = read_checkpoint(first_stage)
    model = load_model(checkpoint).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    decoder = model.synthesis
    for parameter in decoder.parameters():
        parameter.requires_grad_(True)
    averaged = torch.optim.swa_utils.AveragedModel(
        decoder, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(recipe.average_decay)
    )
    torch.manual_seed(recipe.seed)
    discriminator = PatchDiscriminator(model.latent_channels).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    decoder_optimiser = torch.optim.Adam(decoder.parameters(), lr=recipe.learning_rate)
    discriminator_optimiser = torch.optim.Adam(
        discriminator.parameters(), lr=recipe.discriminator_learning_rate, betas=(0.5, 0.9)
    )
    parts = {
        "decoder": decoder,
        "averaged": averaged,
        "discriminator": discriminator,
        "decoder_optimiser": decoder_optimiser,
        "discriminator_optimiser": discriminator_optimiser,
    }
    state_file, first = output.with_suffix(".state"), 0
    if state_file.exists():
        state = torch.load(state_file, weights_only=True)
        for name, part in parts.items():
            part.load_state_dict(state[name])
        first = state["step"]
    for step in range(first, recipe.steps):
        generator = np.random.default_rng((recipe.seed, step))
        image = random_crops(photos.training, recipe.crop, recipe.batch, generator)
        image = image.contiguous(memory_format=torch.channels_last)
        with torch.no_grad():
            *_, latent = model.quantise(model.analysis(image))
        rate = cosine(step, recipe.steps, recipe.learning_rate, recipe.final_learning_rate)
        for group in decoder_optimiser.param_groups:
            group["lr"] = rate

        rebuilt = decoder(latent)
        structure = 1 - ms_ssim(rebuilt.clamp(0, 1), image, data_range=1.0)
        loss = recipe.ms_ssim_weight * structure
        loss = loss + recipe.mse_weight * 255**2 * nn.functional.mse_loss(rebuilt, image)
        if step >= recipe.discriminator_alone:
            believed = nn.functional.softplus(-discriminator(rebuilt, latent)).mean()
            loss = loss + recipe.adversarial_weight * believed
        decoder_optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(decoder.parameters(), 1.0)
        decoder_optimiser.step()
        averaged.update_parameters(decoder)

        judged = discriminator(image, latent), discriminator(rebuilt.detach(), latent)
        doubt = nn.functional.softplus(-judged[0]).mean() + nn.functional.softplus(judged[1]).mean()
        discriminator_optimiser.zero_grad()
        doubt.backward()
        discriminator_optimiser.step()

        done = step + 1
        if done % save_every == 0 or done == recipe.steps:
            quality, loss_of_judge = validate_decoder(model, averaged.module, photos), float(doubt.detach())
            logger.info("step %d  MS-SSIM %.4f  discriminator %.3f", done, quality, loss_of_judge)
            append_row(
                output.with_suffix(".csv"),
                step=done,
                learning_rate=rate,
                ms_ssim=quality,
                discriminator_loss=loss_of_judge,
            )
            torch.save({name: part.state_dict() for name, part in parts.items()} | {"step": done}, state_file)
            model.synthesis = averaged.module
            notes = {"stage": "adversarial", "steps": str(done), "recipe": json.dumps(asdict(recipe))}
            save_checkpoint(output, model, checkpoint.family, checkpoint.preset, notes)
            model.synthesis = decoder
    model.synthesis = averaged.module
    return model


@torch.no_grad()
def validate_decoder(model: ScaleHyperprior, decoder: nn.Module, photos: PhotoSet) -> float:
    """Mean MS-SSIM of what `decoder` rebuilds from `model`'s latents, over the held-out photographs."""
    scores = []
    for photo in photos.validation:
        image = whole_photo(photo, ALIGNMENT)
        *_, latent = model.quantise(model.analysis(image))
        scores.append(float(ms_ssim(decoder(latent).clamp(0, 1), image, data_range=1.0)))
    return sum(scores) / len(scores)
