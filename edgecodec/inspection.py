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


def entropy_cost(bundle: str | os.PathLike[str]) -> dict[str, float]:
    """What a bundle's entropy model takes for each pixel of a picture of about a megapixel: bytes and multiplications.

    Raises NotABundle, BundleChanged, and BadModel for a model that takes more than any may.
    """
    model = Bundle(bundle).entropy_model()
    side = 1024  # a multiple of every alignment
    cost = model.cost(side, side)
    return {
        "bytes_per_pixel": round(cost.bytes / side**2, 2),
        "multiplications_per_pixel": round(cost.multiplications / side**2, 1),
    }
