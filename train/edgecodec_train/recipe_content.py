"""Between a recipe and its content, the tables and values that TOML and JSON hold."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import MISSING, Field, asdict, fields, is_dataclass
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from edgecodec.errors import InvalidArgument
from edgecodec_train.knob_draws import Draw
from edgecodec_train.knob_weights import Weight
from edgecodec_train.recipe import Recipe
from edgecodec_train.value_ranges import Range


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
