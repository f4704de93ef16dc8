"""Recipes: everything that decides what a training run makes, besides the pictures, as data.

A recipe is a TOML file; those of the papers and their small siblings lie in `recipes/`. Its tables and keys are the
classes and fields below. A run keeps its recipe beside its state, and every checkpoint has it in its notes.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, asdict, dataclass, field, fields, is_dataclass, replace
from importlib.resources import files as package_files
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from edgecodec.errors import CannotRead, InvalidArgument
from edgecodec_train.knob_draws import Draw
from edgecodec_train.knob_weights import NOTHING, Weight
from edgecodec_train.schedule import Schedule
from edgecodec_train.value_ranges import BatchSize, Count, NotNegative, Positive, Range, Seed, Share, Side

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SUFFIX = ".toml"
BUILT_IN = package_files("edgecodec_train") / "recipes"


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
    """Adam. gradient_norm: gradients are brought down to this norm, where it is not 0."""

    learning_rate: NotNegative
    betas: tuple[float, ...] = (0.9, 0.999)
    gradient_norm: NotNegative = 0.0
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
class Discriminator:
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
class Adversarial:
    """loss: of `edgecodec_train.losses.adversarial`. weight: of the generator's loss."""

    loss: str
    weight: Weight
    discriminator: Discriminator
    feature_matching: Weight = NOTHING


@dataclass(frozen=True)
class Stage:
    """One stage. It starts from the averaged weights of the stage before; with 0 steps it passes these on.

    crop, batch: instead of those of the data.
    learn: all networks, or the decoder alone, which leaves files and their rates as they are.
    preset: another preset of the family from here on; it must take over every weight of the one before.
    frozen: patterns of the names of parameters that do not learn, like "synthesis.*norm*".
    fresh_factor: on the learning rate of weights that the stage before did not have.
    average_decay: share of the running average of the weights that a step keeps.
    knobs: how each is drawn; one that is not named has the family's default.
    rate, mse, grid: weights of bits per pixel, of the mean squared error of pictures in [0, 1], and of `losses.grid`.
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
    perceptual: Perceptual | None = None
    adversarial: Adversarial | None = None
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
    stages: tuple[Stage, ...]
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

    def data_of(self, stage: Stage) -> Data:
        """The data of a stage."""
        return replace(self.data, crop=stage.crop or self.data.crop, batch=stage.batch or self.data.batch)

    def validation_of(self, stage: Stage) -> Validation:
        """The validation of a stage."""
        return replace(self.validation, knobs=stage.validation_knobs or self.validation.knobs)


def known_recipes() -> dict[str, str]:
    """The built-in recipes: title by name."""
    found = sorted(file.name for file in BUILT_IN.iterdir() if file.name.endswith(SUFFIX))
    return {name.removesuffix(SUFFIX): _parsed((BUILT_IN / name).read_text(), name)["title"] for name in found}


def read_recipe(name: str, changes: Sequence[str] = ()) -> dict[str, Any]:
    """The content of a recipe: a built-in one by its name, or a file. changes: as of `change`.

    Raises what `recipe_text` and `change` raise, and InvalidArgument for one that is not TOML.
    """
    return change(_parsed(recipe_text(name), name), changes)


def recipe_text(name: str) -> str:
    """The recipe as it is written, with its comments. name: of a built-in recipe, or a file that ends in .toml.

    Raises CannotRead for none of that name, and for a file that cannot be read.
    """
    path = Path(name)
    if path.suffix == SUFFIX:
        try:
            return path.read_text(encoding="utf-8")
        except OSError as error:
            raise CannotRead(
                error.strerror or str(error), where=name, hint=f"built-in recipes are named without {SUFFIX}"
            ) from error
        except UnicodeDecodeError as error:
            raise CannotRead(str(error), where=name) from error
    if not (BUILT_IN / f"{name}{SUFFIX}").is_file():
        raise CannotRead(
            "there is no recipe of this name",
            where=name,
            hint=f"give a {SUFFIX} file or one of {', '.join(known_recipes())}",
        )
    return (BUILT_IN / f"{name}{SUFFIX}").read_text(encoding="utf-8")


def change(content: Mapping[str, Any], changes: Sequence[str]) -> dict[str, Any]:
    """The content with some values changed, each given as "key=value".

    key: names joined by dots; a stage goes by its name: "stages.realism.adversarial.weight=0.1". value: as in TOML;
    what is not TOML is text. Raises InvalidArgument for a change without "=", and for a key that leads nowhere.
    """
    changed: dict[str, Any] = _copy(content)
    for text in changes:
        key, equals, value = text.partition("=")
        *folders, last = key.strip().split(".")
        if not equals or not last:
            raise InvalidArgument("is not of the form KEY=VALUE", where=f"--set {text}")
        place: Any = changed
        for name in folders:
            place = _inside(place, name, text)
        if not isinstance(place, dict):
            raise InvalidArgument(f"{'.'.join(folders)} is not a table", where=f"--set {text}")
        place[last] = _value(value.strip())
    return changed


def _copy(content: Any) -> Any:
    if isinstance(content, Mapping):
        return {name: _copy(value) for name, value in content.items()}
    return [_copy(value) for value in content] if isinstance(content, list | tuple) else content


def _inside(place: Any, name: str, text: str) -> Any:
    if isinstance(place, list):
        named = [each for each in place if isinstance(each, dict) and each.get("name") == name]
        if not named:
            known = ", ".join(str(each.get("name")) for each in place if isinstance(each, dict))
            raise InvalidArgument(f"there is no stage {name}", where=f"--set {text}", hint=f"the stages are {known}")
        return named[0]
    if not isinstance(place, dict):
        raise InvalidArgument(f"nothing is inside of {place!r}", where=f"--set {text}")
    return place.setdefault(name, {})


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except ValueError:  # not TOML, or a number of thousands of digits
        return text


def _parsed(text: str, name: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except ValueError as error:
        raise InvalidArgument(f"is not TOML: {error}", where=name) from error


def parse_recipe(content: Mapping[str, Any], name: str) -> Recipe:
    """The recipe with that content. Raises InvalidArgument that names the key at fault, within `name`."""
    try:
        recipe = _built(Recipe, content, "")
    except InvalidArgument as error:
        error.where = f"{name}: {error.where}" if error.where else name
        raise
    assert isinstance(recipe, Recipe)
    return recipe


def as_content(recipe: Recipe) -> dict[str, Any]:
    """The recipe as JSON and TOML have it, with every default spelled out; `parse_recipe` undoes this."""
    content: dict[str, Any] = _plain(asdict(recipe))
    return content


def _plain(value: Any) -> Any:
    """Without None, which TOML does not have; infinity, which JSON does not have, becomes text."""
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items() if each is not None}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return "inf" if value == math.inf else value


def _built(kind: Any, value: Any, place: str) -> Any:
    """`value` as an object of the type `kind`. Raises InvalidArgument with the place of what does not fit."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Annotated:
        number = _built(inner[0], value, place)
        for limits in inner[1:]:
            assert isinstance(limits, Range)
            limits.check(number, place)
        return number
    if origin in (Union, UnionType):  # one type, or None where nothing is given
        return None if value is None else _built(inner[0], value, place)
    if kind in (Weight, Draw) and isinstance(value, int | float) and not isinstance(value, bool):
        value = {"value" if kind is Weight else "fixed": value}
    if is_dataclass(kind):
        return _built_dataclass(kind, value, place)
    if origin is Literal:
        if value not in inner:
            raise InvalidArgument(f"is {value!r}", where=place, hint=f"it can be {', '.join(map(str, inner))}")
        return value
    if origin is tuple and isinstance(value, list | tuple):
        return tuple(_built(inner[0], each, _place_in_list(place, i, each)) for i, each in enumerate(value))
    if origin is dict and isinstance(value, Mapping):
        return {name: _built(inner[1], each, f"{place}.{name}") for name, each in value.items()}
    if kind is Any:
        return value
    if kind is float and (value == "inf" or (isinstance(value, int | float) and not isinstance(value, bool))):
        return _number(value, place)
    if type(value) is kind:
        return value
    raise InvalidArgument(f"is {value!r}, which is not {_described(kind)}", where=place)


def _place_in_list(place: str, index: int, value: Any) -> str:
    """As `change` has it: a stage goes by its name."""
    name = value.get("name") if isinstance(value, Mapping) else None
    return f"{place}.{name}" if isinstance(name, str) and name else f"{place}[{index}]"


def _number(value: Any, place: str) -> float:
    try:
        number = float(value)
    except OverflowError:
        raise InvalidArgument("is too large a number", where=place) from None
    if math.isnan(number):
        raise InvalidArgument("is not a number", where=place)
    return number


def _described(kind: Any) -> str:
    names = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}
    return names.get(kind, "a list" if get_origin(kind) is tuple else "a table")


def _built_dataclass(kind: Any, value: Any, place: str) -> Any:
    if not isinstance(value, Mapping):
        raise InvalidArgument(f"is {value!r}, which is not a table", where=place)
    hints, known = get_type_hints(kind, include_extras=True), {each.name: each for each in fields(kind)}
    for name in value:
        if name not in known:
            raise InvalidArgument(
                "is unknown", where=_joined(place, name), hint=f"{place or 'a recipe'} has {', '.join(known)}"
            )
    missing = [name for name, each in known.items() if name not in value and _required(each)]
    if missing:
        raise InvalidArgument("is missing", where=_joined(place, missing[0]))
    built = {name: _built(hints[name], each, _joined(place, name)) for name, each in value.items()}
    try:
        return kind(**built)
    except InvalidArgument as error:
        error.locate(place)
        raise


def _required(each: Field[Any]) -> bool:
    return each.default is MISSING and each.default_factory is MISSING


def _joined(place: str, name: str) -> str:
    return f"{place}.{name}" if place else name
