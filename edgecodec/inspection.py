"""What a file or a bundle says about itself: no engine, no limits, no decoding."""

from __future__ import annotations

import os
from pathlib import Path

from edgecodec import container, files
from edgecodec.bundle import Bundle
from edgecodec.container import FileInfo
from edgecodec.errors import EdgecodecError
from edgecodec.limits import ANY
from edgecodec.manifest import BundleInfo


def inspect(source: files.Source) -> FileInfo | BundleInfo:
    """A coded picture (path, bytes or open file) or the folder of a bundle.

    Raises NotEdgc, Corrupt, UnsupportedVersion, CannotRead for the one, NotABundle, BundleChanged for the other.
    """
    if isinstance(source, str | os.PathLike) and Path(source).is_dir():
        return Bundle(source).info
    try:
        return container.parse(files.read(source, ANY)).info
    except EdgecodecError as error:
        error.locate(files.name_of(source))
        raise
