"""A folder that nobody else can write to, and files in it: what lies there may be run."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from edgecodec.errors import CannotRead, CannotWrite

_MODE = 0o700
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


def make(path: Path) -> None:
    """Make the folder and those above it, where they are missing, and check it.

    Raises CannotWrite, and what `check` raises.
    """
    try:
        path.mkdir(mode=_MODE, parents=True, exist_ok=True)
    except OSError as error:
        raise CannotWrite(error.strerror or str(error), where=str(path)) from error
    check(path)


def check(path: Path) -> None:
    """Raise CannotRead unless the folder is this user's, or the administrator's, and no other user may write to it."""
    try:
        found = os.stat(path)
    except OSError as error:
        raise CannotRead(error.strerror or str(error), where=str(path)) from error
    if not stat.S_ISDIR(found.st_mode):
        raise CannotRead("is not a folder", where=str(path), hint="remove it, or set XDG_CACHE_HOME")
    if problem := _problem(found):
        raise CannotRead(
            f"{problem}, and what is in it might run as this user",
            where=str(path),
            hint=f"chmod 700 {path}, chown it, or set XDG_CACHE_HOME",
        )


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """Open a file for reading. Raises OSError for a link, for what is not a regular file, and for a file that another
    user owns or may write to.
    """
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    with open(os.open(path, flags), "rb") as file:
        found = os.fstat(file.fileno())
        problem = _problem(found) if stat.S_ISREG(found.st_mode) else "is not a regular file"
        if problem:
            raise OSError(errno.EPERM, problem, str(path))
        yield file


def _problem(found: os.stat_result) -> str:
    if found.st_uid not in (os.geteuid(), 0):
        return "belongs to another user"
    return "can be written to by other users" if found.st_mode & _OTHERS_WRITE else ""
