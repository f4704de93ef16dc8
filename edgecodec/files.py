"""Reading and writing whole files: "-" is a standard stream, outputs appear complete or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import sys
from pathlib import Path
from typing import IO

from edgecodec.errors import CannotRead, CannotWrite, LimitExceeded, OutputExists
from edgecodec.limits import Limits

#: What a coded picture or a picture file may be given as: a path, its bytes, or an open binary file.
Source = str | os.PathLike[str] | bytes | bytearray | memoryview | IO[bytes]

STANDARD_STREAM = "-"

_BLOCK = 1 << 20  # bytes

_HINTS = {
    errno.ENOSPC: "free some space, or write elsewhere",
    errno.EACCES: "check the permissions of the file and its folder",
    errno.ENOENT: "check the path",
}


def read(source: Source, limits: Limits) -> bytes | bytearray | memoryview:
    """All bytes of `source`; bytes are passed through. Raises CannotRead, LimitExceeded."""
    if isinstance(source, bytes | bytearray | memoryview):
        limits.check_bytes(memoryview(source).nbytes)
        return source
    try:
        if isinstance(source, str | os.PathLike):
            with open(source, "rb") as file:
                return _read_bounded(file, limits)
        return _read_bounded(source, limits)
    except OSError as error:
        raise CannotRead(_reason(error), where=name_of(source), hint=_HINTS.get(error.errno or 0)) from error
    except LimitExceeded as error:
        error.locate(name_of(source))
        raise


def _read_bounded(file: IO[bytes], limits: Limits) -> bytes:
    """In blocks, so that neither a large limit nor an endless stream decides how much is allocated."""
    blocks, size = [], 0
    while block := file.read(_BLOCK):
        blocks.append(block)
        size += len(block)
        limits.check_bytes(size)
    return blocks[0] if len(blocks) == 1 else b"".join(blocks)


def name_of(source: object) -> str | None:
    """How to name `source` in a message: its path, or None for bytes."""
    if isinstance(source, str | os.PathLike):
        return os.fspath(source)
    name = getattr(source, "name", None)
    return name if isinstance(name, str) else None


def refuse_existing(path: str | os.PathLike[str]) -> None:
    """Raise OutputExists if a file is there. Called before the work as well as when writing."""
    if os.path.lexists(path) and not _is_device(Path(path)):
        raise OutputExists("exists already", where=os.fspath(path), hint="--force overwrites it")


def write(path: str | os.PathLike[str], data: bytes | memoryview, *, force: bool = False) -> None:
    """Write `data` so that `path` is either untouched or complete, also when interrupted; "-" is standard output.

    Raises OutputExists unless `force`, and CannotWrite, after which nothing is left behind. A reader that closed its
    end of a pipe is the caller's business: BrokenPipeError.
    """
    try:
        if path == STANDARD_STREAM:
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
            return
        if not force:
            refuse_existing(path)
        # A link is followed, so that the file it names is replaced and not the link.
        target = Path(os.path.realpath(path))
        if _is_device(target):
            _write_in_place(target, data)
        else:
            _replace(target, data)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise CannotWrite(_reason(error), where=os.fspath(path), hint=_HINTS.get(error.errno or 0)) from error


def _is_device(path: Path) -> bool:
    """Devices and named pipes: a rename would replace the device itself."""
    return path.exists() and not path.is_file() and not path.is_dir()


def _write_in_place(device: Path, data: bytes | memoryview) -> None:
    with open(device, "wb", buffering=0) as file:
        _write_all(file.fileno(), data)


def _replace(target: Path, data: bytes | memoryview) -> None:
    temporary = target.with_name(f".{target.name[:200]}.{secrets.token_hex(6)}.part")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
    try:
        try:
            _write_all(descriptor, data)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def _write_all(descriptor: int, data: bytes | memoryview) -> None:
    rest = memoryview(data).cast("B")
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _reason(error: OSError) -> str:
    return error.strerror or str(error)
