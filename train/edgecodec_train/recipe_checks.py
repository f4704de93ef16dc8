"""What a recipe asks for has to be there; said before the first stage begins, and not days later before the second."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import takewhile
from pathlib import Path

import torch

from edgecodec.description import LatentSpec
from edgecodec.errors import CannotRead, EdgecodecError, InvalidArgument
from edgecodec_export.families import FAMILIES, LearnedCodec, build
from edgecodec_train.discriminators import Inputs, build_discriminator
from edgecodec_train.discriminators.by_level import ByLevelDiscriminator
from edgecodec_train.knob_weights import Weight
from edgecodec_train.learned_parameters import learned_parameters
from edgecodec_train.losses.adversarial import build_adversarial_loss
from edgecodec_train.losses.ms_ssim import MS_SSIM_SIDE
from edgecodec_train.losses.perceptual import MS_SSIM, PRETRAINED_LOSSES, build_perceptual
from edgecodec_train.recipe import WITHOUT_A_FILE, AdversarialSettings, Perceptual, Recipe, StageSettings


def check_recipe(recipe: Recipe) -> None:
    """Raises InvalidArgument for what no stage can begin or end with; for files of weights what reading them raises.

    What depends on the preset of a file that a recipe starts from waits for `check_model`.
    """
    for stage in recipe.stages:
        check_stage(recipe, stage)
        if stage.perceptual and stage.perceptual.weights:  # they have to be there, and those of this network
            build_perceptual(stage.perceptual.kind, Path(stage.perceptual.weights))
    preset = recipe.preset if recipe.start in WITHOUT_A_FILE else ""
    for index, stage in enumerate(recipe.stages):
        before, preset = preset, stage.preset or preset
        if index and before and preset != before:
            _check_takeover(recipe, stage, before)
        if preset and (index == 0 or preset != before):
            with torch.device("meta"):  # nothing is drawn
                check_model(recipe, index, build(recipe.family, preset))
    if recipe.rate_fit:
        ranges = {knob.name: knob.range for knob in FAMILIES[recipe.family].KNOBS}
        limits, values = ranges.get(recipe.rate_fit.knob), set(recipe.rate_fit.values)
        if limits is None:
            raise InvalidArgument(
                f"{recipe.rate_fit.knob!r} is not a scalar knob of {recipe.family}", where="rate_fit.knob"
            )
        if len(values) < 2 or not all(limits.low <= value <= limits.high for value in values):
            raise InvalidArgument(f"not two or more from {limits.low:g} to {limits.high:g}", where="rate_fit.values")


def check_preset(family: str, preset: str) -> None:
    """Raises InvalidArgument for a family or a preset that there is not."""
    if family not in FAMILIES:
        raise InvalidArgument(f"there is no family {family!r}", where="family", hint=f"there are {', '.join(FAMILIES)}")
    if preset not in FAMILIES[family].PRESETS:
        known = ", ".join(FAMILIES[family].PRESETS)
        raise InvalidArgument(f"{family} has no preset {preset!r}", where="preset", hint=f"it has {known}")


def _check_takeover(recipe: Recipe, stage: StageSettings, before: str) -> None:
    """Raise InvalidArgument unless the preset of `stage` takes over the weights of the one before."""
    with torch.device("meta"):
        reached, _ = FAMILIES[recipe.family].with_realism(before, {})
    if reached != stage.preset:
        raise InvalidArgument(f"{before} cannot become {stage.preset}", where=f"stages.{stage.name}.preset")


def check_model(recipe: Recipe, index: int, model: LearnedCodec) -> None:
    """What stage `index`, and those behind it until one names another preset, ask of their model.

    Raises InvalidArgument for knobs that may be drawn, or validated at, beyond what it takes, and for what
    `learned_parameters` refuses.
    """
    first, *others = recipe.stages[index:]
    for stage in (first, *takewhile(lambda each: each.preset in ("", first.preset), others)):
        learned_parameters(model, stage)
        _check_knob_values(recipe, stage, model)


def _check_knob_values(recipe: Recipe, stage: StageSettings, model: LearnedCodec) -> None:
    place = f"stages.{stage.name}"
    asked = [(f"{place}.knobs.{name}", name, draw.bounds) for name, draw in stage.knobs.items()]
    validation = f"{place}.validation_knobs" if stage.validation_knobs else "validation.knobs"
    for i, knobs in enumerate(recipe.validation_of(stage).knobs):
        asked += [(f"{validation}[{i}].{name}", name, (value, value)) for name, value in knobs.items()]
    limits = model.trained_knobs()
    for where, name, (least, most) in asked:
        low, high = limits[name]
        if not low <= least <= most <= high:
            said = f"{least:g}" if least == most else f"from {least:g} to {most:g}"
            raise InvalidArgument(
                f"{name} is {said}, not from {low:g} to {high:g}",
                where=where,
                hint=f"stage {stage.name} needs a preset with this knob" if low == high else None,
            )


def check_stage(recipe: Recipe, stage: StageSettings) -> None:
    """Raises what `check_recipe` does, for one stage."""
    check_preset(recipe.family, recipe.preset)
    check_preset(recipe.family, stage.preset or recipe.preset)
    try:
        with torch.device("meta"):  # nothing is drawn
            model = build(recipe.family, stage.preset or recipe.preset)
        check_crop(model, recipe.data_of(stage).crop)
        weights = _weights_of(stage)
        _check_knobs(model, recipe, stage, weights)
        for weight in weights:
            _check_levels(stage, weight)
        if stage.learn == "decoder" and stage.batch_norm == "batch":
            raise InvalidArgument("batch_norm is batch, which would change the encoder of a decoder that learns alone")
        if stage.perceptual:
            _check_perceptual(stage.perceptual, recipe.data_of(stage).crop)
        if stage.adversarial:
            _check_adversarial(recipe, stage, stage.adversarial)
    except EdgecodecError as error:
        error.locate(f"stage {stage.name}")
        raise


def check_crop(model: LearnedCodec, crop: int) -> None:
    """Raises InvalidArgument for crops with sides that the model does not take."""
    multiple = model.latent_alignment()
    least = -(-model.SMALLEST_SIDE // multiple) * multiple
    if crop % multiple or crop < least:
        raise InvalidArgument(
            f"crops of {crop} pixels do not fit {model.FAMILY}",
            where="data.crop",
            hint=f"give a multiple of {multiple}, {least} or more",
        )


def _weights_of(stage: StageSettings) -> list[Weight]:
    weights = [stage.rate, stage.mse, stage.grid, stage.texture]
    weights += [stage.rate_target.bits_per_pixel] if stage.rate_target else []
    weights += [stage.perceptual.weight, stage.perceptual.substitute_weight] if stage.perceptual else []
    weights += [stage.adversarial.weight, stage.adversarial.feature_matching] if stage.adversarial else []
    return weights


def _check_knobs(model: LearnedCodec, recipe: Recipe, stage: StageSettings, weights: Iterable[Weight]) -> None:
    """Knobs that act while the family trains; network interpolation, alpha, comes later."""
    known = model.trained_knobs()
    validated = [name for knobs in recipe.validation_of(stage).knobs for name in knobs]
    for name in (*stage.knobs, *(knob for weight in weights for knob in weight.knobs), *validated):
        if name not in known:
            hint = f"it has {', '.join(sorted(known)) or 'none'}"
            raise InvalidArgument(f"{model.FAMILY} has no knob {name} in training", hint=hint)


def _check_levels(stage: StageSettings, weight: Weight) -> None:
    """Every value that is drawn for the knob has a weight."""
    if weight.levels_of:
        draw = stage.knobs.get(weight.levels_of)
        low, high = draw.bounds if draw else (0.0, 0.0)
        if round(low) < 0 or round(high) >= len(weight.values):
            raise InvalidArgument(
                f"a weight has {len(weight.values)} values, and {weight.levels_of} is drawn from {low:g} to {high:g}"
            )


def _check_perceptual(asked: Perceptual, crop: int) -> None:
    known = ", ".join((*PRETRAINED_LOSSES, MS_SSIM))
    if asked.kind not in PRETRAINED_LOSSES and asked.kind != MS_SSIM:
        raise InvalidArgument(f"unknown perceptual loss {asked.kind!r}", hint=f"known: {known}")
    if asked.substitute != MS_SSIM:
        raise InvalidArgument(f"{asked.substitute!r} is no substitute", hint=f"{MS_SSIM} is, which needs no weights")
    if asked.weights and asked.kind != MS_SSIM and not Path(asked.weights).is_file():
        raise CannotRead("no such file", where=asked.weights)
    if (asked.kind == MS_SSIM or not asked.weights) and crop < MS_SSIM_SIDE:
        raise InvalidArgument(f"{MS_SSIM} needs crops of {MS_SSIM_SIDE} pixels, not {crop}", where="data.crop")


def _check_adversarial(recipe: Recipe, stage: StageSettings, asked: AdversarialSettings) -> None:
    build_adversarial_loss(asked.loss)
    settings, levels = asked.discriminator, 1
    if settings.optimiser.tether:
        raise InvalidArgument(
            "a discriminator starts from random weights, which are nothing to stay near",
            where=f"stage {stage.name}: adversarial.discriminator.optimiser.tether",
        )
    if settings.levels_of:
        draw = stage.knobs.get(settings.levels_of)
        if draw is None or not draw.among:
            raise InvalidArgument(
                f"levels_of needs {settings.levels_of} to be drawn from a list",
                where=f"stage {stage.name}: knobs.{settings.levels_of}",
            )
        if list(draw.among) != sorted(set(draw.among)):
            raise InvalidArgument(f"levels_of needs the values of {settings.levels_of} in order, each once")
        levels = len(draw.among)
    with torch.device("meta"):  # options are checked, and nothing is drawn
        latent, classes = LatentSpec("latent", 1, 1), int(recipe.data.kind == "scenes")
        network = build_discriminator(settings.kind, Inputs(latent, classes, levels), **settings.options)
    if isinstance(network, ByLevelDiscriminator) and not settings.levels_of:
        raise InvalidArgument(f"the discriminator {settings.kind} needs a knob of rates", hint="set levels_of")
