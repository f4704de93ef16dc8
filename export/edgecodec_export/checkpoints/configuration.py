"""The configuration of a model, which is its family's frozen `Preset`: as JSON, and compared with another."""

from __future__ import annotations

import json
import math
from dataclasses import MISSING, asdict, fields
from typing import Any, Literal, get_args, get_origin, get_type_hints

from edgecodec.errors import CheckpointRejected

#: Largest count of channels, layers, levels or classes: far above any codec's, and still quick to lay out.
LARGEST = 4096


def configuration_text(configuration: Any) -> str:
    """The configuration as JSON, field by field."""
    return json.dumps(asdict(configuration), sort_keys=True, allow_nan=False)


def parse_configuration(kind: type, text: str) -> Any:
    """The preset of type `kind` that `configuration_text` wrote. Fields added since then get their defaults.

    Raises CheckpointRejected, with the list, for fields that are unknown, missing, of another type or out of bounds.
    """
    try:
        given = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CheckpointRejected(f"its configuration is not JSON: {error}") from error
    if not isinstance(given, dict):
        raise CheckpointRejected("its configuration is not an object")
    hints = get_type_hints(kind)
    values = {name: _typed(hint, given[name]) for name, hint in hints.items() if name in given}
    problems = [f"{name}: unknown" for name in sorted(given.keys() - hints.keys())]
    problems += [f"{each.name}: missing" for each in fields(kind) if each.name not in given and each.default is MISSING]
    problems += [f"{name}: cannot be {given[name]!r}" for name, value in values.items() if value is None]
    if problems:
        raise CheckpointRejected("its configuration is not one of this family:\n  " + "\n  ".join(problems))
    return kind(**values)


def counts_above(configuration: Any, most: int) -> list[str]:
    """A line for each field with a count (of channels, layers, ...) above `most`."""
    counts = {name: value if isinstance(value, tuple) else (value,) for name, value in vars(configuration).items()}
    above = [name for name, values in counts.items() if any(type(each) is int and each > most for each in values)]
    return [f"{name}: {getattr(configuration, name)!r}" for name in above]


def _typed(hint: Any, value: Any) -> Any:
    """The value as a field of type `hint`, or None if it cannot be one."""
    if get_origin(hint) is Literal:
        return value if value in get_args(hint) else None
    if get_origin(hint) is tuple:
        kinds = get_args(hint)
        if not isinstance(value, list) or len(value) != len(kinds):
            return None
        parts = tuple(map(_typed, kinds, value))
        return None if None in parts else parts
    if type(value) is not hint or (hint is float and not math.isfinite(value)):
        return None
    return None if hint is int and not 0 <= value <= LARGEST else value
