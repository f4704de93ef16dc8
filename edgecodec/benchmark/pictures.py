"""The pictures of a benchmark: files, or what a folder has."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from edgecodec.errors import CannotRead, InvalidArgument

CODED = ".edgc"


def files_of(paths: Iterable[str], taken: Callable[[str], bool]) -> list[str]:
    """`paths` with each folder replaced by those of its files whose extension, in small letters, is `taken`.

    Where a folder has coded pictures among them, these alone. Raises InvalidArgument for a folder without any,
    CannotRead.
    """
    return [found for path in paths for found in ([path] if not os.path.isdir(path) else _in_folder(path, taken))]


def _in_folder(folder: str, taken: Callable[[str], bool]) -> Iterator[str]:
    try:
        found = sorted(path for path in Path(folder).iterdir() if taken(path.suffix.lower()) and path.is_file())
    except OSError as error:
        raise CannotRead(error.strerror or str(error), where=folder) from error
    if not found:
        raise InvalidArgument("holds no picture that can be measured", where=folder)
    coded = [path for path in found if path.suffix.lower() == CODED]
    return map(str, coded or found)


def is_coded(path: str) -> bool:
    return path.lower().endswith(CODED)
