"""Realism: a discriminator learns to tell rebuilt pictures from photographs, and the codec to deceive it.

    loss = that of `reconstruction` + adversarial * generator loss + feature_matching * feature matching

Each step the codec learns first, then the discriminator. Which loss and which discriminator, and whether everything or
the decoder alone learns, is the recipe's choice (`edgecodec_train.recipe.Adversarial`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from edgecodec_train.discriminators import Conditions, Inputs, Judgement, build_discriminator
from edgecodec_train.losses.adversarial import build_adversarial_loss
from edgecodec_train.losses.feature_matching import feature_matching
from edgecodec_train.stages.reconstruction import Rebuilt, Reconstruction, adam
from edgecodec_train.stages.stage import Objective, Scheduled
from edgecodec_train.stages.start import StageContext

Judgements = tuple[Judgement, ...]


class Adversarial(Reconstruction):
    """Reconstruction with a discriminator."""

    KIND = "adversarial"

    def __init__(self, context: StageContext) -> None:
        super().__init__(context)
        assert context.stage.adversarial is not None
        self._adversarial = context.stage.adversarial
        settings = self._adversarial.discriminator
        self._loss = build_adversarial_loss(self._adversarial.loss)
        #: Of the discriminator: the values that are drawn for the knob, in order.
        self._levels = self._settings.knobs[settings.levels_of].among if settings.levels_of else ()
        inputs = Inputs(self.model.decoder_latents()[-1], context.batches.classes, max(1, len(self._levels)))
        network = build_discriminator(settings.kind, inputs, **settings.options)
        self._discriminator = self._device.place(network)
        scheduled = adam([list(network.parameters())], settings.optimiser, [1.0])
        self._discriminator_optimiser = scheduled

    def optimisers(self) -> Mapping[str, Scheduled]:
        return {**super().optimisers(), "discriminator": self._discriminator_optimiser}

    def networks(self) -> Mapping[str, nn.Module]:
        return {"discriminator": self._discriminator}

    def objectives(self, step: int) -> Iterator[Objective]:
        rebuilt = self.rebuild(step)
        image, knobs = rebuilt.batch.image, rebuilt.knobs
        weight, matching = self._adversarial.weight.at(knobs), self._adversarial.feature_matching.at(knobs)
        conditions = self._conditions(rebuilt)
        loss, terms = self.reconstruction_loss(rebuilt, step)
        if (weight or matching) and step >= self._adversarial.discriminator.alone:
            fake = self._judge(rebuilt.picture, conditions)
            reference = self._reference(rebuilt, conditions)
            generator_loss = self._loss.generator(fake, reference)
            loss, terms["generator_loss"] = loss + weight * generator_loss, generator_loss
            if matching:
                with torch.no_grad():
                    real = self._judge(image, conditions)
                distance = feature_matching(fake, real)
                loss, terms["feature_matching"] = loss + matching * distance, distance
        yield self.objective(loss, terms)

        if weight or matching:  # it learns nothing from pictures that need not look real
            real, fake = self._judge(image, conditions), self._judge(rebuilt.picture.detach(), conditions)
            discriminator_loss = self._loss.discriminator(real, fake)
            settings = self._adversarial.discriminator.optimiser
            yield Objective(
                discriminator_loss,
                [self._discriminator_optimiser.optimiser],
                list(self._discriminator.parameters()),
                settings.gradient_norm,
                {"discriminator_loss": discriminator_loss, "told_apart": told_apart(real, fake)},
            )

    def _conditions(self, rebuilt: Rebuilt) -> Conditions:
        level = None
        if self._levels:
            level = self._levels.index(rebuilt.knobs[self._adversarial.discriminator.levels_of])
        return Conditions(rebuilt.condition, rebuilt.batch.labels, level)

    def _judge(self, picture: Tensor, conditions: Conditions) -> Judgements:
        with self._device.autocast():
            judged = self._discriminator(picture, conditions)
        return tuple(
            Judgement(each.logits.float(), tuple(map(Tensor.float, each.features)), each.weight) for each in judged
        )

    @torch.no_grad()
    def _reference(self, rebuilt: Rebuilt, conditions: Conditions) -> Judgements | None:
        """The discriminator's view of the picture that the generator's is compared with, where the loss compares."""
        if self._loss.reference == "none":
            return None
        picture = rebuilt.batch.image
        if self._loss.reference == "higher rate" and conditions.level is not None:
            above = conditions.level + 1
            if above < len(self._levels):  # the highest rate is compared with the photograph
                knob = self._adversarial.discriminator.levels_of
                knobs = {**rebuilt.knobs, knob: self._levels[above]}
                with self._device.autocast():
                    picture = self.model(picture, **rebuilt.batch.side(self.model), **knobs).picture.float()
        return self._judge(picture, conditions)


def told_apart(real: Judgements, fake: Judgements) -> Tensor:
    """Share of pairs of patches in which the photograph has the higher logit; 1/2 where that is by chance."""
    pairs = zip(real, fake, strict=True)
    return torch.stack([(one.logits > other.logits).float().mean() for one, other in pairs]).mean().detach()
