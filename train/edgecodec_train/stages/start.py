"""How a stage begins: with what it is given, and with the weights that its model has then."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from edgecodec.errors import InvalidArgument
from edgecodec_export.checkpoints import Checkpoint, load_model, read_checkpoint
from edgecodec_export.families import FAMILIES, LearnedCodec
from edgecodec_train.batches import Batches
from edgecodec_train.device import Device
from edgecodec_train.recipe import WITHOUT_A_FILE, Recipe, StageSettings

CROPS = 64  # by which a model is initialised


@dataclass(frozen=True)
class StageContext:
    """Where a stage runs: the recipe, which of its stages, on which data and device.

    before: the checkpoint of the stage before, None for the first stage.
    """

    recipe: Recipe
    index: int
    batches: Batches
    device: Device
    before: Checkpoint | None = None

    @property
    def stage(self) -> StageSettings:
        return self.recipe.stages[self.index]


class Start(NamedTuple):
    """A model, the name of its preset, and the names of its weights that the stage before did not have."""

    model: LearnedCodec
    preset: str
    fresh: frozenset[str]


def start(context: StageContext, seed: int) -> Start:
    """Build the model of a stage: of the stage before, of the recipe's checkpoint, or a new one that `seed` decides.

    Raises InvalidArgument for pictures that the model cannot take, and what reading a checkpoint raises.
    """
    recipe, before = context.recipe, context.before
    if before is None and recipe.start not in WITHOUT_A_FILE:
        before = read_checkpoint(Path(recipe.start), recipe.family)
    if before is None:
        preset, family = context.stage.preset or recipe.preset, FAMILIES[recipe.family]
        configuration, classes = family.PRESETS[preset], context.batches.classes
        model = family(family.preset_with_classes(configuration, classes) if classes else configuration)
        context.batches.check(model)
        if recipe.start == "transform":
            model.initialise(context.batches.starting_crops(CROPS, seed))
        return Start(model, preset, frozenset())
    checkpoint = _with_preset(before, context.stage.preset)
    model = load_model(checkpoint)
    context.batches.check(model)
    return Start(model, checkpoint.preset, frozenset(checkpoint.tensors) - frozenset(before.tensors))


def _with_preset(checkpoint: Checkpoint, preset: str) -> Checkpoint:
    """The checkpoint itself, or one of the preset that takes over all its weights and has more."""
    if preset in ("", checkpoint.preset):
        return checkpoint
    family = FAMILIES[checkpoint.family]
    reached, tensors = family.with_realism(checkpoint.preset, checkpoint.tensors)
    if reached != preset:
        raise InvalidArgument(f"{checkpoint.preset} cannot become {preset}", where="preset")
    return replace(checkpoint, preset=preset, configuration=family.PRESETS[preset], tensors=dict(tensors))
