"""Damages JSON values: every place in turn is removed or replaced by something that does not belong there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

_INTRUDERS: tuple[Any, ...] = (None, True, -1, 1 << 70, 10**400, 1.5, "x", [], {}, [[]], {"x": {}})


def damaged(value: Any) -> Iterator[tuple[str, Any]]:
    """Copies of `value`, each with one place replaced or removed, and a description of the damage."""
    text = json.dumps(value)
    for path in _places(value):
        for intruder in (*_INTRUDERS, ...):
            copy = parent = json.loads(text)
            for key in path[:-1]:
                parent = parent[key]
            if intruder is ...:
                del parent[path[-1]]
            else:
                parent[path[-1]] = intruder
            yield f"{path} {'gone' if intruder is ... else 'replaced by ' + repr(intruder)[:20]}", copy


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every place in a JSON value, except its root."""
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        yield (*path, key)
        yield from _places(child, (*path, key))
