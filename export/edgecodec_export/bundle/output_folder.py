"""Output folders that appear complete or not at all: they are built in a sibling folder and then renamed."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edgecodec.errors import CannotWrite, OutputExists
from edgecodec.manifest import MANIFEST


def refuse_existing(output: Path, force: bool) -> None:
    """Raise OutputExists if `output` exists; with `force` only if it is not a bundle."""
    if not os.path.lexists(output):
        return
    if not force:
        raise OutputExists("exists already", where=str(output), hint="--force replaces a bundle")
    if not (output / MANIFEST).is_file():
        raise OutputExists("is not a bundle, so it is not replaced", where=str(output))


@contextmanager
def appearing_whole(output: Path, force: bool) -> Iterator[Path]:
    """Yields an empty folder that is renamed to `output` at the end. An exception removes it and leaves `output` as is.

    Raises OutputExists, CannotWrite.
    """
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        working = Path(tempfile.mkdtemp(prefix=f".{output.name}.", suffix=".part", dir=output.parent))
    except OSError as error:
        raise CannotWrite(error.strerror or str(error), where=str(output)) from error
    try:
        folder = working / "new"
        folder.mkdir()
        yield folder
        refuse_existing(output, force)
        _take_place(folder, output, working / "old")
    except OSError as error:
        raise CannotWrite(error.strerror or str(error), where=str(output)) from error
    finally:
        shutil.rmtree(working, ignore_errors=True)


def _take_place(folder: Path, output: Path, aside: Path) -> None:
    """Rename `folder` to `output`. A folder that is there is moved to `aside`, and back if renaming fails."""
    replaces = output.exists()
    if replaces:
        output.rename(aside)
    try:
        folder.rename(output)
    except OSError:
        if replaces:
            aside.rename(output)
        raise
