"""The folder of engines that were compiled for this machine."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from typing import Any

from edgecodec.cache_folder import cache_folder
from edgecodec.child_process import ChildFailed, call_in_child


@dataclass(frozen=True)
class Cache:
    """size: bytes of all files in it, 0 where it does not exist yet. writable: whether files can be made there."""

    path: str
    size: int
    writable: bool
    problem: str | None = None


def cache(patience: float) -> Cache:
    """Looked at in a process of its own: home folders may lie on a server that does not answer."""
    try:
        return Cache(**call_in_child(f"{__name__}:look", patience=patience))
    except ChildFailed as failure:
        return Cache(str(cache_folder()), 0, False, str(failure))


def look() -> dict[str, Any]:
    """The fields of a Cache. To be called in a child."""
    folder = cache_folder()
    size = sum(_size(os.path.join(place, name)) for place, _, names in os.walk(folder) for name in names)
    nearest = folder
    while not nearest.exists() and nearest != nearest.parent:
        nearest = nearest.parent
    return asdict(Cache(str(folder), size, nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK)))


def _size(path: str) -> int:
    try:
        return os.lstat(path).st_size
    except OSError:  # removed meanwhile
        return 0
