"""The mappings inside what a file holds."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor

#: From a file's outermost mapping to one inside: the keys, all of them text.
Path = tuple[str, ...]

_DEEPEST = 8  # mappings inside each other; training states have their weights two or three deep


def nested_mappings(content: Mapping[Any, Any]) -> Iterator[tuple[Path, Mapping[Any, Any]]]:
    """Every mapping under keys that are text, the content itself first, each once, outer ones before inner ones."""
    waiting: deque[tuple[Path, Mapping[Any, Any]]] = deque([((), content)])
    seen = {id(content)}
    while waiting:
        path, mapping = waiting.popleft()
        yield path, mapping
        if len(path) == _DEEPEST:
            continue
        for key, each in mapping.items():
            if isinstance(key, str) and isinstance(each, Mapping) and id(each) not in seen:
                seen.add(id(each))
                waiting.append(((*path, key), each))


def joined(content: Mapping[Any, Any], beginnings: tuple[str, ...]) -> dict[Any, Any]:
    """The content, with the tensors of every mapping whose key is one of `beginnings` joined into the one around it.

        {"g_a": {"0.weight": w}, "epoch": 3}   ->   {"g_a.0.weight": w, "epoch": 3}

    beginnings: of names, such as "g_a.". Left as they are: mappings without tensors, with others inside or with keys
    that are not text; those whose names are taken; and those that were seen before, as few bytes can name one
    exponentially often.
    """
    seen: set[int] = set()

    def join(mapping: Mapping[Any, Any], depth: int) -> dict[Any, Any]:
        result = dict(mapping)
        for key, each in mapping.items():
            if not isinstance(key, str) or not isinstance(each, Mapping) or id(each) in seen:
                continue
            seen.add(id(each))
            names = {name: f"{key}.{name}" for name in each if isinstance(name, str)}
            named = f"{key}.".startswith(beginnings) and len(names) == len(each)
            if named and _is_state_dict(each) and result.keys().isdisjoint(names.values()):
                del result[key]
                result |= {names[name]: inner for name, inner in each.items()}
            elif depth < _DEEPEST:
                result[key] = join(each, depth + 1)
        return result

    return join(content, 0)


def _is_state_dict(mapping: Mapping[Any, Any]) -> bool:
    held = mapping.values()
    return any(isinstance(each, Tensor) for each in held) and not any(isinstance(each, Mapping) for each in held)


def enclosing(content: Mapping[Any, Any], path: Path) -> list[Mapping[Any, Any]]:
    """The mappings around the one at `path`, outermost first; none around the content itself."""
    around = []
    for key in path:
        around.append(content)
        content = content[key]
    return around
