"""Files of a bundle that were not read by the library: golden pictures, and whatever `verify` hashes.

Files may be links to anywhere, as model hubs keep them, but each is a regular file of the promised size and hash.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from edgecodec.description import BundleFile
from edgecodec.errors import BundleChanged, LimitExceeded
from edgecodec.regular_file import NOT_REGULAR, open_regular

_BLOCK = 1 << 20  # bytes
_LARGEST_READ = (1 << 31) - 1  # bytes of a file that is read whole


def check(path: Path, promised: BundleFile) -> None:
    """Hash a file, however large. Raises BundleChanged."""
    digest = hashlib.sha256()
    with _opened(path, promised) as file:
        left = promised.size
        while block := file.read(min(left, _BLOCK)):
            digest.update(block)
            left -= len(block)
    _compare(path, digest.hexdigest(), promised)


def read(path: Path, promised: BundleFile) -> bytes:
    """The contents of a file, which are what was promised.

    Raises BundleChanged, and LimitExceeded for what is too large to be a file that is read whole.
    """
    if promised.size > _LARGEST_READ:
        raise LimitExceeded(f"has {promised.size} bytes, more than {_LARGEST_READ}", where=str(path))
    with _opened(path, promised) as file:
        data = file.read(promised.size)
    _compare(path, hashlib.sha256(data).hexdigest(), promised)
    return data


@contextmanager
def _opened(path: Path, promised: BundleFile) -> Iterator[BinaryIO]:
    """A regular file of the promised size. Raises BundleChanged, also if reading it fails."""
    try:
        with open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size
            if size != promised.size:
                raise _changed(path, f"has {size} bytes, the manifest says {promised.size}")
            yield file
    except OSError as error:
        problem = NOT_REGULAR if error.strerror == NOT_REGULAR else "cannot be read"
        raise _changed(path, problem) from error


def _compare(path: Path, sha256: str, promised: BundleFile) -> None:
    if sha256 != promised.sha256:
        raise _changed(path, "does not have the SHA-256 of the manifest")


def _changed(path: Path, problem: str) -> BundleChanged:
    return BundleChanged(problem, where=str(path), hint="fetch or export the bundle again")
