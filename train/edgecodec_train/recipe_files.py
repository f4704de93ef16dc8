"""Recipes as files: those that come with edgecodec, others, and changes of their values."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from importlib.resources import files as package_files
from pathlib import Path
from typing import Any

from edgecodec.errors import CannotRead, InvalidArgument

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SUFFIX = ".toml"
BUILT_IN = package_files("edgecodec_train") / "recipes"


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
