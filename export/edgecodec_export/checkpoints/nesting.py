"""The mappings inside what a file holds."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any

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


def enclosing(content: Mapping[Any, Any], path: Path) -> list[Mapping[Any, Any]]:
    """The mappings around the one at `path`, outermost first; none around the content itself."""
    around = []
    for key in path:
        around.append(content)
        content = content[key]
    return around
