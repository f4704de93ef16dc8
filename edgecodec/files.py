"""Reading and writing whole files: "-" is a standard stream, outputs appear complete or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import stat
import sys
from pathlib import Path
from typing import IO

from edgecodec.errors import CannotRead, CannotWrite, InvalidArgument, LimitExceeded, OutputExists
from edgecodec.limits import Limits

#: What a coded picture or a picture file may be given as: a path, its bytes, or an open binary file.
Source = str | os.PathLike[str] | bytes | bytearray | memoryview | IO[bytes]

STANDARD_STREAM = "-"
STANDARD_OUTPUT = "standard output"  # as messages name it

_BLOCK = 1 << 20  # bytes

_HINTS = {
    errno.ENOSPC: "free some space, or write elsewhere",
    errno.EACCES: "check the permissions of the file and its folder",
    errno.ENOENT: "check the path",
    errno.EISDIR: "give the name of a file",
}
#: What says that a file in this place cannot be replaced: it is a mount point, or its folder cannot be changed.
_CANNOT_REPLACE = {errno.EBUSY, errno.EACCES, errno.EPERM, errno.EROFS}
_LONGEST_CHAIN = 40  # links that Linux follows for one path


def read(source: Source, limits: Limits) -> bytes | bytearray | memoryview:
    """All bytes of `source`; bytes are passed through. Raises CannotRead, LimitExceeded, InvalidArgument."""
    if isinstance(source, bytes | bytearray | memoryview):
        limits.check_bytes(memoryview(source).nbytes)
        return source
    try:
        if isinstance(source, str | os.PathLike):
            with open(source, "rb") as file:
                return _read_bounded(file, limits)
        if not hasattr(source, "read"):
            raise InvalidArgument(
                f"{type(source).__name__} is no source", hint="give a path, bytes, or an open binary file"
            )
        return _read_bounded(source, limits)
    except OSError as error:
        raise CannotRead(_reason(error), where=name_of(source), hint=_HINTS.get(error.errno or 0)) from error
    except ValueError as error:  # a path with a null character, or a closed file
        raise CannotRead(str(error), where=name_of(source)) from error
    except LimitExceeded as error:
        error.locate(name_of(source))
        raise


def read_standard_input(limits: Limits) -> bytes:
    """All bytes of standard input. Raises CannotRead, also where the command was started without one; LimitExceeded."""
    if sys.stdin is None:
        raise CannotRead("is closed", where="standard input", hint="give the name of a file")
    return bytes(read(sys.stdin.buffer, limits))


def _read_bounded(file: IO[bytes], limits: Limits) -> bytes:
    """In blocks, so that neither a large limit nor an endless stream decides how much is allocated."""
    blocks, size = [], 0
    while block := file.read(_BLOCK):
        if not isinstance(block, bytes):
            raise InvalidArgument("the file is open as text", where=name_of(file), hint='open it with mode "rb"')
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


def identity(path: str | os.PathLike[str]) -> tuple[int, int] | None:
    """What is the same for every name of a regular file: its device and inode. None for other files, and for none."""
    try:
        found = os.fstat(sys.stdin.fileno()) if path == STANDARD_STREAM else os.stat(path)
    except (OSError, ValueError, AttributeError):  # no such file; a null character; a closed standard input
        return None
    return (found.st_dev, found.st_ino) if stat.S_ISREG(found.st_mode) else None


def open_descriptor(path: str | os.PathLike[str]) -> int | None:
    """The number of the open descriptor of this process that `path` names, as /dev/stdout and /dev/fd/3 do, or None.

    Where it is a pipe there is no file that `path` could be resolved to, and where it is a file, others may have
    written to it before and go on afterwards.
    """
    link = os.fspath(path)
    for _ in range(_LONGEST_CHAIN):
        folder, name = os.path.split(link)
        place = os.path.realpath(folder)
        if re.fullmatch(rf"/proc/(self|{os.getpid()})(/task/\d+)?/fd|/dev/fd", place) and name.isdecimal():
            return int(name)
        try:
            link = os.path.join(place, os.readlink(link))
        except (OSError, ValueError):
            return None
    return None


def refuse_existing(path: str | os.PathLike[str]) -> None:
    """Raise OutputExists if a file is there. Called before the work as well as when writing."""
    if os.path.lexists(path) and open_descriptor(path) is None and not _is_device(Path(path)):
        raise OutputExists("exists already", where=os.fspath(path), hint="--force overwrites it")


def refuse_long_name(path: str | os.PathLike[str]) -> None:
    """Raise CannotWrite for a name that the file system does not take, of the file or of a folder that is to be made.

    Called before the work. The temporary file that is written first has a short name of its own.
    """
    place = os.path.realpath(path)
    names = []
    while place != (folder := os.path.dirname(place)):
        names.append(os.fsencode(os.path.basename(place)))
        if os.path.isdir(folder):
            break
        place = folder
    try:
        most = os.pathconf(folder, "PC_NAME_MAX")
    except (AttributeError, OSError, ValueError):  # the system does not say
        return
    length = max(map(len, names), default=0)
    if 0 < most < length:
        raise CannotWrite(
            f"the name has {length} bytes, and the file system takes {most}",
            where=os.fspath(path),
            hint="give a shorter name",
        )


def write(path: str | os.PathLike[str], data: bytes | memoryview, *, force: bool = False) -> None:
    """Write `data` so that `path` is either untouched or complete, also when interrupted; "-" is standard output.

    A file that is replaced leaves its permissions to the new one, and its owner where that is allowed. Devices, pipes
    and open descriptors like /dev/stdout are written to as they are, and so is a file that cannot be replaced, because
    it is a mount point or its folder cannot be changed.

    Raises OutputExists unless `force`, and CannotWrite, after which nothing is left behind. A reader that closed its
    end of a pipe is the caller's business: BrokenPipeError.
    """
    try:
        if path == STANDARD_STREAM:
            _write_to_standard_output(data)
            return
        if not force:
            refuse_existing(path)
        descriptor = open_descriptor(path)
        if descriptor is not None:
            _write_all(descriptor, data)
        elif _is_device(Path(path)):
            _write_in_place(Path(path), data)
        else:
            # A link is followed, so that the file it names is replaced and not the link.
            _replace(Path(os.path.realpath(path)), data)
    except BrokenPipeError:
        raise
    except OSError as error:
        where = STANDARD_OUTPUT if path == STANDARD_STREAM else os.fspath(path)
        raise CannotWrite(_reason(error), where=where, hint=_HINTS.get(error.errno or 0)) from error
    except ValueError as error:  # a path with a null character
        raise CannotWrite(str(error), where=os.fspath(path)) from error


def is_stream(path: str | os.PathLike[str]) -> bool:
    """Whether what is written there goes to a reader or a device, and is no file that stays."""
    return path == STANDARD_STREAM or open_descriptor(path) is not None or _is_device(Path(path))


def _is_device(path: Path) -> bool:
    """Devices and named pipes: a rename would replace the device itself."""
    return path.exists() and not path.is_file() and not path.is_dir()


def _write_to_standard_output(data: bytes | memoryview) -> None:
    if sys.stdout is None:
        raise CannotWrite("is closed", where=STANDARD_OUTPUT, hint="give -o FILE")
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def _write_in_place(path: Path, data: bytes | memoryview) -> None:
    """Over what is there, a device or a file."""
    descriptor = os.open(path, os.O_WRONLY | getattr(os, "O_BINARY", 0))
    try:
        _write_all(descriptor, data)
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.ftruncate(descriptor, memoryview(data).nbytes)
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _replace(target: Path, data: bytes | memoryview) -> None:
    """By a new file beside `target`, renamed; or in place where there is a file and it cannot be replaced."""
    try:
        _rename_over(target, data)
    except OSError as error:
        if error.errno not in _CANNOT_REPLACE or not target.is_file():
            raise
        _write_in_place(target, data)


def _rename_over(target: Path, data: bytes | memoryview) -> None:
    # Of a length of its own: names are limited in bytes, and that of the target may have as many as there can be.
    temporary = target.with_name(f".edgecodec-{secrets.token_hex(6)}.part")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
    try:
        try:
            _take_permissions(descriptor, target)
            _write_all(descriptor, data)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def _take_permissions(descriptor: int, target: Path) -> None:
    """Give a new file owner and mode of the file that it is to replace, as far as the system allows.

    Before the first byte is in it, so that none is readable for others than before.
    """
    try:
        replaced = os.stat(target)
    except FileNotFoundError:
        return
    with contextlib.suppress(OSError):  # only the administrator gives files away
        os.fchown(descriptor, replaced.st_uid, replaced.st_gid)
    with contextlib.suppress(OSError):  # a file system without modes
        os.fchmod(descriptor, stat.S_IMODE(replaced.st_mode))


def _write_all(descriptor: int, data: bytes | memoryview) -> None:
    rest = memoryview(data).cast("B")
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _reason(error: OSError) -> str:
    return error.strerror or str(error)
