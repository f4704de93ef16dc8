"""Rate and distortion: a codec, or its decoder alone, learns to rebuild pictures.

    loss = rate * bits per pixel + mse * MSE + perceptual * distance + grid * grid energy + texture * texture distance

with pictures in [0, 1], and with the weights of a recipe (`edgecodec_train.recipe.StageSettings`), which may depend on
the knobs that are drawn for each batch. With an `mse` of lambda * 255^2 this is Balle et al. 2018, equation 10; with a
rate target, Mentzer et al. 2020, section 3.4.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from edgecodec.description import Knobs
from edgecodec.noise import ONE as NOISE_ONE
from edgecodec_export.checkpoints import RATE_FIT, rate_fit_note
from edgecodec_export.families import LearnedCodec
from edgecodec_train.batches import Batch
from edgecodec_train.data.crops import as_bytes
from edgecodec_train.knob_weights import Weight
from edgecodec_train.learned_parameters import learned_parameters
from edgecodec_train.losses.grid import grid_energy
from edgecodec_train.losses.masked import mean_squared_error
from edgecodec_train.losses.perceptual import MS_SSIM, build_perceptual
from edgecodec_train.losses.texture import texture_distance
from edgecodec_train.rate_fit import fit_rate
from edgecodec_train.recipe import Optimiser
from edgecodec_train.recipe_checks import check_model, check_stage
from edgecodec_train.schedule import Schedule
from edgecodec_train.stages.settling import densities, settle_medians, settle_norms
from edgecodec_train.stages.stage import Objective, Scheduled, Stage
from edgecodec_train.stages.start import StageContext, start
from edgecodec_train.tethered_adam import TetheredAdam
from edgecodec_train.validation import Validated, validate

QUANTILE_RATE = 1e-3  # learning rate of the quantiles of densities


@dataclass(frozen=True)
class Rebuilt:
    """A batch, and what the codec made of it. bits: None where only the decoder learns."""

    batch: Batch
    knobs: Knobs
    picture: Tensor
    condition: Tensor
    bits: Tensor | None = None
    rounded_bits: Tensor | None = None


class Reconstruction(Stage):
    """Rate, distortion and perceptual distance."""

    KIND = "reconstruction"
    CODEC_OPTIMISER: ClassVar[str] = "codec"

    def __init__(self, context: StageContext) -> None:
        """Raises InvalidArgument for a recipe that does not fit its family, and what reading pictures raises."""
        self._context, stage = context, context.stage
        self._settings = stage
        check_stage(context.recipe, stage)
        self.steps, self.validate_every = stage.steps, context.recipe.validation.every
        self.average_decay, self.largest_loss = stage.average_decay, stage.largest_loss
        self.seed = context.recipe.seed * 1_000 + context.index
        torch.manual_seed(self.seed)
        self.model, self.preset, self._fresh = start(context, self.seed)
        check_model(context.recipe, context.index, self.model)
        self._device = context.device
        self.model = self._device.place(self.model.train())
        if stage.batch_norm == "stored":
            settle_norms(self.model)
        self._weights = self._choose_weights()
        self._perceptual, self._perceptual_weight, said = self._choose_perceptual()
        self.notes = {**context.batches.notes, **said}
        self._optimisers = self._make_optimisers()

    # ---- the start ----

    def _choose_weights(self) -> dict[str, nn.Parameter]:
        """The parameters that learn, by name; all others stop learning."""
        self.model.requires_grad_(False)
        chosen = learned_parameters(self.model, self._settings)
        for parameter in chosen.values():
            parameter.requires_grad_(True)
        return chosen

    def _choose_perceptual(self) -> tuple[nn.Module | None, Weight, dict[str, str]]:
        """The distance, its weight, and the note that says when a substitute takes its place."""
        asked = self._settings.perceptual
        if asked is None:
            return None, Weight(), {}
        kind, weight, said = asked.kind, asked.weight, {}
        if kind != MS_SSIM and not asked.weights:
            kind, weight = asked.substitute, asked.substitute_weight
            said = {"substitute": f"{kind} in place of {asked.kind}, whose weights were not given"}
        network = build_perceptual(kind, Path(asked.weights) if kind == asked.kind and asked.weights else None)
        return self._device.place(network), weight, said

    def _make_optimisers(self) -> dict[str, Scheduled]:
        settings, factor = self._settings.optimiser, self._settings.fresh_factor
        learned = [parameter for name, parameter in self._weights.items() if name not in self._fresh]
        fresh = [parameter for name, parameter in self._weights.items() if name in self._fresh]
        groups = [(each, scale) for each, scale in ((learned, 1.0), (fresh, factor)) if each]
        made = {self.CODEC_OPTIMISER: adam([each for each, _ in groups], settings, [scale for _, scale in groups])}
        # Quantiles describe a density and have a loss of their own; a codec may have no such density.
        self._densities = densities(self.model) if self._settings.learn == "everything" else []
        if self._densities:
            quantiles = [density.quantiles.requires_grad_(True) for density in self._densities]
            optimiser = torch.optim.Adam(quantiles, lr=QUANTILE_RATE)
            made["quantiles"] = Scheduled(optimiser, [QUANTILE_RATE], Schedule())
        return made

    # ---- the loop's side ----

    def optimisers(self) -> Mapping[str, Scheduled]:
        return self._optimisers

    def objectives(self, step: int) -> Iterator[Objective]:
        rebuilt = self.rebuild(step)
        loss, terms = self.reconstruction_loss(rebuilt, step)
        yield self.objective(loss, terms)

    def objective(self, loss: Tensor, terms: Mapping[str, Tensor]) -> Objective:
        """The codec's own loss."""
        optimisers = [each.optimiser for each in self._optimisers.values()]
        norm = self._settings.optimiser.gradient_norm
        return Objective(loss, optimisers, list(self._weights.values()), norm, {"loss": loss, **terms})

    def settle(self, averaged: LearnedCodec) -> None:
        if self._densities:
            settle_medians(averaged)

    def final_notes(self, averaged: LearnedCodec) -> Mapping[str, str]:
        """The fitted rate of a knob, where the recipe asks for one."""
        asked = self._context.recipe.rate_fit
        if asked is None:
            return {}
        photographs = [as_bytes(batch.image) for batch in self._context.batches.validation(averaged)]
        return {RATE_FIT: rate_fit_note({asked.knob: fit_rate(averaged, asked.knob, asked.values, photographs)})}

    def validate(self, averaged: LearnedCodec) -> Validated:
        settings = self._context.recipe.validation_of(self._settings)
        return validate(averaged, self._context.batches, settings, self._device)

    # ---- one step ----

    def rebuild(self, step: int) -> Rebuilt:
        """The batch of this step, and the codec's picture of it."""
        generator = np.random.default_rng((self.seed, step, 1))
        batch = self._context.batches.get(self.seed, step).to(self._device)
        knobs = {name: draw.draw(generator) for name, draw in self._settings.knobs.items()}
        side = {**batch.side(self.model), **self._noise(batch)}
        if self._settings.learn == "decoder":
            coded = self.model.decoder_input(batch.image, knobs, side)  # in float32, as files are made
            with self._device.autocast():
                picture = self.model.decode(*coded.latents, **coded.knobs)
            return Rebuilt(batch, knobs, picture.float(), coded.condition)
        with self._device.autocast():
            passed = self.model(batch.image, **side, **knobs)
        return Rebuilt(
            batch, knobs, passed.picture.float(), passed.condition.detach(), passed.rates.total(), passed.rounded
        )

    def _noise(self, batch: Batch) -> dict[str, Tensor]:
        """Standard normal noise in units of 1/NOISE_ONE, where the model takes any."""
        noise = self.model.noise()
        if noise is None:
            return {}
        count, _, height, width = batch.image.shape
        shape = (count, noise.channels, height // noise.stride, width // noise.stride)
        return {noise.name: NOISE_ONE * torch.randn(shape, device=batch.image.device)}

    def reconstruction_loss(self, rebuilt: Rebuilt, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of this module's docstring, and its parts for the curve."""
        stage, knobs, image = self._settings, rebuilt.knobs, rebuilt.batch.image
        mse = mean_squared_error(rebuilt.picture, image, rebuilt.batch.mse_weight(stage.mse_elsewhere))
        loss, terms = stage.mse.at(knobs) * mse, {"training_mse": mse}
        if rebuilt.bits is not None:
            pixels = image[:, 0].numel()
            loss = loss + self._rate_weight(rebuilt, step) * rebuilt.bits / pixels
            terms["training_bits_per_pixel"] = rebuilt.bits / pixels
            loss = loss + sum(density.quantile_loss() for density in self._densities) * 1e-6
        if stage.grid:
            loss = loss + stage.grid.at(knobs) * grid_energy(rebuilt.picture - image)
        if stage.texture:
            texture = texture_distance(rebuilt.picture, image)
            loss, terms["training_texture"] = loss + stage.texture.at(knobs) * texture, texture
        weight = self._perceptual_weight.at(knobs)
        if self._perceptual is not None and weight:
            distance = self._perceptual(rebuilt.batch.kept_of(rebuilt.picture).clamp(0, 1), image)
            loss, terms["training_perceptual"] = loss + weight * distance, distance
        return loss, terms

    def _rate_weight(self, rebuilt: Rebuilt, step: int) -> float:
        """Weight of the rate: constant, or by whether the batch is above the target."""
        weight, target = self._settings.rate.at(rebuilt.knobs), self._settings.rate_target
        if target is None or rebuilt.rounded_bits is None:
            return weight
        most = target.bits_per_pixel.at(rebuilt.knobs)
        if step < target.early:
            weight, most = weight * target.early_weight, most * target.early_target
        above = float(rebuilt.rounded_bits) / rebuilt.batch.image[:, 0].numel() > most
        return weight if above else target.below


def adam(groups: list[list[nn.Parameter]], settings: Optimiser, scales: list[float]) -> Scheduled:
    """Adam over groups of parameters, each with the learning rate of the settings times its scale."""
    rates = [settings.learning_rate * scale for scale in scales]
    betas = settings.betas[0], settings.betas[1]
    parameters = [{"params": each} for each in groups]
    optimiser = (
        TetheredAdam(parameters, lr=settings.learning_rate, betas=betas, tether=settings.tether)
        if settings.tether
        else torch.optim.Adam(parameters, lr=settings.learning_rate, betas=betas)
    )
    return Scheduled(optimiser, rates, settings.schedule)
