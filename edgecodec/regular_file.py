"""Files that a stranger may have laid: opened without waiting, and only if they can be read to an end."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

NOT_REGULAR = "is not a regular file"


@contextmanager
def open_regular(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open a regular file, or a link to one, for reading.

    Raises OSError, with the text NOT_REGULAR for a device, which may have no end, and for a named pipe, which may have
    no writer.
    """
    with open(path, "rb", opener=_without_waiting) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, NOT_REGULAR, os.fspath(path))
        yield file


def _without_waiting(path: str, flags: int) -> int:
    """Opening a named pipe would wait for its writer; opening a terminal could make it the process's own."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0))
