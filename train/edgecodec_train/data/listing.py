"""Which pictures a folder or a tar file holds, by name. None is opened, so a million of them are listed in seconds."""

from __future__ import annotations

import os
import posixpath
import stat
import tarfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from edgecodec.errors import CannotRead

#: Formats that Pillow has a suffix for, but no decoder of its own. A large HDF5 file beside the pictures is no picture.
_WITHOUT_DECODER = {"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF"}


class Entry(NamedTuple):
    """A picture file: `size` bytes from byte `offset` of the file at `path`. Entries are ordered by name.

    name: relative to the source, with slashes. A tar file stands for the files that it would unpack to where it is, so
    that packing pictures changes neither their names nor their order.
    """

    name: str
    path: str
    offset: int
    size: int

    def __str__(self) -> str:
        """Where the picture is, for a message: any name fits on a line and can be written to any stream."""
        where = f"{self.path}: {self.name}" if self.offset else self.path
        return where if where.isprintable() else repr(where)

    def read(self) -> bytes:
        """The content of the file. Raises OSError."""
        with open(self.path, "rb") as file:
            file.seek(self.offset)
            return file.read(self.size)


def list_pictures(source: Path) -> list[Entry]:
    """The pictures in a folder, its subfolders and the .tar files in them, or in one .tar file, in order of name.

    Pictures are files with a suffix of a format that Pillow decodes. Hidden files and folders are left out, and so are
    links that lead nowhere.

    Raises CannotRead for a missing source, a damaged tar file, a folder that cannot be listed, and no pictures at all.
    """
    path = os.fspath(source)
    try:
        is_folder = stat.S_ISDIR(os.stat(path).st_mode)
    except OSError as error:
        hint = "give a folder of pictures or a .tar file of pictures"
        raise CannotRead(error.strerror or str(error), where=path, hint=hint) from error
    if not is_folder and not _is_tar(path):
        raise CannotRead("is neither a folder nor a .tar file", where=path, hint="give the folder that it is in")
    entries = sorted(_in_folder(path) if is_folder else _in_tar(path, ""))
    if not entries:
        raise CannotRead(
            "holds no pictures", where=path, hint="their names end in .jpg, .png, .webp or as Pillow knows them"
        )
    return entries


def _in_folder(source: str) -> Iterator[Entry]:
    """Links are followed. Each folder is listed once, since links may lead round in a circle."""
    waiting, listed = [(source, "")], set()
    while waiting:
        folder, prefix = waiting.pop()
        try:
            identity = os.stat(folder)
            names = os.listdir(folder)
        except OSError as error:
            hint = "check the permissions of the folder"
            raise CannotRead(error.strerror or str(error), where=folder, hint=hint) from error
        if (identity.st_dev, identity.st_ino) in listed:
            continue
        listed.add((identity.st_dev, identity.st_ino))
        for name in sorted(names, reverse=True):  # the last one pushed is the first one listed
            path = os.path.join(folder, name)
            status = None if name.startswith(".") else _status(path)
            if status is None:
                continue
            if stat.S_ISDIR(status.st_mode):
                waiting.append((path, f"{prefix}{name}/"))
            elif stat.S_ISREG(status.st_mode) and _is_tar(name):
                yield from _in_tar(path, prefix)
            elif stat.S_ISREG(status.st_mode) and _is_picture(name):
                yield Entry(prefix + name, path, 0, status.st_size)


def _status(path: str) -> os.stat_result | None:
    """None for a link that leads nowhere, or to itself, and for a file that was deleted since it was listed."""
    try:
        return os.stat(path)
    except OSError as error:
        if isinstance(error, FileNotFoundError) or os.path.islink(path):
            return None
        raise CannotRead(
            error.strerror or str(error), where=path, hint="check the permissions of its folder"
        ) from error


def _in_tar(path: str, prefix: str) -> Iterator[Entry]:
    hint = "make it anew with tar, without compression: pictures are compressed already"
    try:
        with tarfile.open(path, "r:") as archive:
            for member in archive:
                name = posixpath.normpath(member.name)
                if member.isreg() and not member.issparse() and _is_picture(name):
                    yield Entry(prefix + name, path, member.offset_data, member.size)
            # The reader takes a damaged header for the end of the archive, where there are zeros or nothing at all.
            end = archive.offset
        with open(path, "rb") as file:
            file.seek(end)
            if any(file.read(tarfile.BLOCKSIZE)):
                raise CannotRead("is a damaged tar file", where=path, hint=hint, offset=end)
    except PermissionError as error:
        raise CannotRead(error.strerror or str(error), where=path, hint="check the permissions of the file") from error
    except (tarfile.TarError, OSError, ValueError, EOFError) as error:
        raise CannotRead(f"is a damaged or compressed tar file: {error}", where=path, hint=hint) from error


def _is_tar(name: str) -> bool:
    return name.lower().endswith(".tar")


def _is_picture(name: str) -> bool:
    hidden = any(part.startswith(".") for part in name.split("/"))
    return not hidden and os.path.splitext(name)[1].lower() in _suffixes()


@cache
def _suffixes() -> frozenset[str]:
    """Of the formats that Pillow decodes, with the dot."""
    registered = Image.registered_extensions()  # loads all plugins, which Image.OPEN then knows too
    decoded = Image.OPEN.keys() - _WITHOUT_DECODER
    return frozenset(suffix for suffix, kind in registered.items() if kind in decoded)
