"""Recipes: everything that decides what a training run makes, besides the pictures, as data.

A recipe is a TOML file; those of the papers and their small siblings lie in `recipes/`. Its tables and keys are the
classes and fields below. A run keeps its recipe beside its state, and every checkpoint has it in its notes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from edgecodec.errors import InvalidArgument
from edgecodec_train.knob_draws import Draw
from edgecodec_train.knob_weights import NOTHING, Weight
from edgecodec_train.schedule import Schedule
from edgecodec_train.value_ranges import BatchSize, Count, NotNegative, Positive, Seed, Share, Side

#: Starts that are not the file of a checkpoint.
WITHOUT_A_FILE = ("transform", "random")


@dataclass(frozen=True)
class Data:
    """What batches are made of.

    kind: photographs, or scenes with label maps. crop: pixels on a side. mirror: half of the crops are mirrored from
    left to right, or in both directions. downscale: pictures are first made smaller by a factor drawn from this range,
    which removes traces of earlier compression. masks: how SC draws what it keeps.
    """

    crop: Side
    batch: BatchSize
    kind: Literal["photographs", "scenes"] = "photographs"
    mirror: Literal["none", "horizontal", "both"] = "horizontal"
    downscale: tuple[float, ...] = ()
    masks: tuple[Literal["instances", "boxes"], ...] = ("instances", "boxes")

    def __post_init__(self) -> None:
        if self.downscale and not (len(self.downscale) == 2 and 0 < self.downscale[0] <= self.downscale[1] <= 1):
            raise InvalidArgument("downscale is not two factors in order, above 0 and up to 1")
        if not self.masks:
            raise InvalidArgument("masks is empty", hint="give instances, boxes or both")


@dataclass(frozen=True)
class Optimiser:
    """Adam.

    gradient_norm: gradients are brought down to this norm, where it is not 0.
    tether: how strongly weights are drawn back to those of the stage's start, see `tethered_adam`; fresh ones to what
        they began as. A decoder that strays far from another one cannot be mixed with it any more.
    """

    learning_rate: NotNegative
    betas: tuple[float, ...] = (0.9, 0.999)
    gradient_norm: NotNegative = 0.0
    tether: NotNegative = 0.0
    schedule: Schedule = field(default_factory=Schedule)

    def __post_init__(self) -> None:
        if len(self.betas) != 2 or not all(0 <= beta < 1 for beta in self.betas):
            raise InvalidArgument(f"betas are {list(self.betas)}, not two numbers from 0 up and below 1")


@dataclass(frozen=True)
class RateTarget:
    """A rate target (Mentzer et al. 2020, section 3.4): above it the rate has its weight, below it another.

    bits_per_pixel: of rounded latents. below: the weight where a batch has no more than that. For the first `early`
    steps the target is multiplied by `early_target`, and the weight above it by `early_weight`.
    """

    bits_per_pixel: Weight
    below: NotNegative
    early: Count = 0
    early_target: NotNegative = 1.0
    early_weight: NotNegative = 1.0


@dataclass(frozen=True)
class Perceptual:
    """A distance in the features of a pretrained network.

    weights: the file with that network's weights. Without one, `substitute` takes its place with its own weight, and
    the run says so.
    """

    kind: str
    weight: Weight
    substitute: str
    substitute_weight: Weight
    weights: str = ""


@dataclass(frozen=True)
class DiscriminatorSettings:
    """kind: of `edgecodec_train.discriminators`. options: of that kind. alone: steps in which the codec does not yet
    learn from it.

    levels_of: the knob whose drawn values are the levels of a discriminator that treats rates differently.
    """

    kind: str
    optimiser: Optimiser
    options: dict[str, Any] = field(default_factory=dict)
    alone: Count = 0
    levels_of: str = ""


@dataclass(frozen=True)
class AdversarialSettings:
    """loss: of `edgecodec_train.losses.adversarial`. weight: of the generator's loss."""

    loss: str
    weight: Weight
    discriminator: DiscriminatorSettings
    feature_matching: Weight = NOTHING


@dataclass(frozen=True)
class StageSettings:
    """One stage. It starts from the averaged weights of the stage before; with 0 steps it passes these on.

    crop, batch: instead of those of the data.
    learn: all networks, or the decoder alone, which leaves files and their rates as they are.
    preset: another preset of the family from here on; it must take over every weight of the one before.
    frozen: patterns of the names of parameters that do not learn, like "synthesis.*norm*".
    fresh_factor: on the learning rate of weights that the stage before did not have.
    average_decay: share of the running average of the weights that a step keeps.
    knobs: how each is drawn; one that is not named has the family's default.
    rate, mse: weights of bits per pixel, and of the mean squared error of pictures in [0, 1].
    grid, texture: weights of the losses of these names.
    mse_elsewhere: share of that weight where a mask keeps nothing.
    largest_loss: a step with a larger loss is skipped; one whose loss is not a number always is.
    batch_norm: whether batch norms use stored statistics, those of the start, or those of each batch.
    validation_knobs: instead of those of the recipe's validation.
    """

    name: str
    steps: Count
    optimiser: Optimiser
    crop: Count = 0
    batch: Count = 0
    learn: Literal["everything", "decoder"] = "everything"
    preset: str = ""
    frozen: tuple[str, ...] = ()
    fresh_factor: NotNegative = 1.0
    average_decay: Share = 0.999
    knobs: dict[str, Draw] = field(default_factory=dict)
    rate: Weight = NOTHING
    rate_target: RateTarget | None = None
    mse: Weight = NOTHING
    mse_elsewhere: NotNegative = 0.0
    grid: Weight = NOTHING
    texture: Weight = NOTHING
    perceptual: Perceptual | None = None
    adversarial: AdversarialSettings | None = None
    largest_loss: float = math.inf
    batch_norm: Literal["stored", "batch"] = "stored"
    validation_knobs: tuple[dict[str, float], ...] = ()


@dataclass(frozen=True)
class Validation:
    """every: steps. one_in: so many pictures, by order of name, one is held out. photographs: most that are held out.
    knobs: the settings at which a model is validated. sheet: photographs on the sheet.
    """

    every: Positive = 500
    one_in: Positive = 64
    photographs: Positive = 25
    knobs: tuple[dict[str, float], ...] = ({},)
    sheet: Count = 4

    def __post_init__(self) -> None:
        if not self.knobs:
            raise InvalidArgument("knobs is empty", hint="give [{}] for the family's defaults")


@dataclass(frozen=True)
class RateFit:
    """The rate as a function of a knob, fitted to the held-out photographs and stored (Wu et al. 2020)."""

    knob: str
    values: tuple[float, ...]


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what a run makes, besides the pictures.

    title: what it makes, and how far it is from the paper.
    start: how weights begin: "transform" is a transform codec measured on the photographs, "random" as PyTorch draws
    them; anything else is the file of a checkpoint of this family, from whatever origin export takes.
    precision: of convolutions; "auto" is bfloat16 where the hardware has it.
    """

    title: str
    family: str
    preset: str
    data: Data
    stages: tuple[StageSettings, ...]
    start: str = "transform"
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    seed: Seed = 1
    validation: Validation = field(default_factory=Validation)
    rate_fit: RateFit | None = None

    def __post_init__(self) -> None:
        names = [stage.name for stage in self.stages]
        if not names:
            raise InvalidArgument("has no stages")
        if len(set(names)) < len(names):
            raise InvalidArgument(f"two stages have one name: {', '.join(names)}")
        for name in names:
            if not name or not all(letter.isalnum() or letter == "-" for letter in name):
                raise InvalidArgument(f"a stage cannot be called {name!r}", hint="use letters, digits and -")

    def data_of(self, stage: StageSettings) -> Data:
        """The data of a stage."""
        return replace(self.data, crop=stage.crop or self.data.crop, batch=stage.batch or self.data.batch)

    def validation_of(self, stage: StageSettings) -> Validation:
        """The validation of a stage."""
        return replace(self.validation, knobs=stage.validation_knobs or self.validation.knobs)
