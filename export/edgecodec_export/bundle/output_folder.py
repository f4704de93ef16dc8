"""Output folders that appear complete or not at all: they are built in a sibling folder and then renamed."""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from edgecodec.description import MANIFEST
from edgecodec.errors import CannotWrite, InvalidArgument, OutputExists

_PREFIX, _SUFFIX = ".edgecodec-", ".part"  # names of the sibling; as long as they are, whatever the output is called
_NEW, _OLD = "new", "old"  # folders in the sibling: the new bundle, and the one that holds what it replaces
_HINTS = {errno.EBUSY: "it is a mount point: give a folder in it", errno.ENOSPC: "free some space, or write elsewhere"}

_CURRENT_FOLDER = -100  # AT_FDCWD of fcntl.h
_EXCHANGE = 2  # RENAME_EXCHANGE of linux/fs.h


def refuse_existing(output: Path, force: bool) -> None:
    """Raise OutputExists if `output` exists; with `force` only if it is not a bundle.

    A bundle that an export put aside and, killed at that moment, did not replace, is first brought back.
    """
    _bring_back(output)
    if not os.path.lexists(output):
        return
    if not force:
        raise OutputExists("exists already", where=str(output), hint="--force replaces a bundle")
    if not (output / MANIFEST).is_file():
        raise OutputExists("is not a bundle, so it is not replaced", where=str(output))


def refuse_inputs_inside(output: Path, inputs: Iterable[Path]) -> None:
    """Raise InvalidArgument if `output` holds one of `inputs`, under whatever name: it would be deleted with the rest.

    `output` itself may be an input: an earlier bundle of which the new one keeps the entropy model.
    """
    folder = os.path.realpath(output)
    for path in inputs:
        # A link in the folder would be lost, and so would what a link from elsewhere names.
        places = os.path.realpath(path), os.path.join(os.path.realpath(path.parent), path.name)
        if any(place.startswith(os.path.join(folder, "")) for place in places):
            raise InvalidArgument(
                f"holds {path}, which would be deleted with the bundle that is replaced",
                where=str(output),
                hint="move it elsewhere, or give another -o",
            )


@contextmanager
def appearing_whole(output: Path, force: bool) -> Iterator[Path]:
    """Yields an empty folder that is renamed to `output` at the end. An exception removes it and leaves `output` as is.

    Raises OutputExists, CannotWrite.
    """
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        working = Path(tempfile.mkdtemp(prefix=_PREFIX, suffix=_SUFFIX, dir=output.parent))
    except OSError as error:
        raise _cannot_write(error, output) from error
    try:
        folder = working / _NEW
        folder.mkdir()
        yield folder
        refuse_existing(output, force)
        _take_place(folder, output, working / _OLD / output.name)
    except OSError as error:
        raise _cannot_write(error, output) from error
    finally:
        shutil.rmtree(working, ignore_errors=True)


def _take_place(folder: Path, output: Path, aside: Path) -> None:
    """Rename `folder` to `output`. What was there before is then in `folder` or at `aside`.

    In one step where the system has one. Otherwise `output` is missing for a moment: an exception in it puts the old
    one back, and `_bring_back` does where the process was killed.
    """
    if not output.exists():
        folder.rename(output)
        return
    if _exchange(folder, output):
        return
    aside.parent.mkdir()
    try:
        output.rename(aside)
        folder.rename(output)
    except BaseException:
        if not output.exists():
            with suppress(FileNotFoundError):  # interrupted before the first rename
                aside.rename(output)
        raise


def _exchange(one: Path, other: Path) -> bool:
    """Swap the names of two folders in one step. False where the system or the file system cannot; raises OSError."""
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError, TypeError):  # not Linux, or a C library without it
        return False
    if rename(_CURRENT_FOLDER, os.fsencode(one), _CURRENT_FOLDER, os.fsencode(other), _EXCHANGE) == 0:
        return True
    number = ctypes.get_errno()
    if number in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP):
        return False
    raise OSError(number, os.strerror(number))


def _bring_back(output: Path) -> None:
    """Rename to `output`, where there is nothing, the bundle of that name that an interrupted export put aside."""
    if os.path.lexists(output) or not output.parent.is_dir():
        return
    for working in output.parent.glob(f"{_PREFIX}*{_SUFFIX}"):
        aside = working / _OLD / output.name
        if aside.is_dir():
            with suppress(OSError):
                aside.rename(output)
                shutil.rmtree(working, ignore_errors=True)
            return


def _cannot_write(error: OSError, output: Path) -> CannotWrite:
    return CannotWrite(error.strerror or str(error), where=str(output), hint=_HINTS.get(error.errno or 0))
