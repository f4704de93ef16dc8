"""What a file or a bundle says about itself: no engine, no limits, no decoding."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from edgecodec import container, files
from edgecodec.bundle import Bundle, BundleInfo
from edgecodec.container import FileInfo
from edgecodec.entropy_model import EntropyModel
from edgecodec.errors import EdgecodecError
from edgecodec.limits import ANY
from edgecodec.manifest import read_manifest


def inspect(source: files.Source) -> FileInfo | BundleInfo:
    """A coded picture (path, bytes or open file) or the folder of a bundle, with what its manifest adds.

    Raises NotEdgc, Corrupt, UnsupportedVersion, CannotRead for the one, NotABundle, BundleChanged for the other.

        >>> edgecodec.inspect("photo.edgc").width
        96
        >>> [knob.name for knob in edgecodec.inspect("hific.bundle").knobs]
        ['alpha']
    """
    if isinstance(source, str | os.PathLike) and Path(source).is_dir():
        bundle = Bundle(source)
        return replace(bundle.info, background=read_manifest(bundle.root).background)
    try:
        return container.parse(files.read(source, ANY)).info
    except EdgecodecError as error:
        error.locate(files.name_of(source))
        raise


def entropy_cost(path: str | os.PathLike[str]) -> dict[str, dict[str, float]]:
    """What each entropy model of a bundle takes for each pixel of a picture of about a megapixel: bytes and
    multiplications, by model id.

    Raises NotABundle, BundleChanged, and BadModel for a model that takes more than any may.
    """
    side = 1024  # a multiple of every alignment
    bundle, costs = Bundle(path), {}
    for model in bundle.info.models:
        try:
            cost = EntropyModel(bundle.read(model.entropy)).cost(side, side)
        except EdgecodecError as error:
            error.locate(str(bundle.root / model.entropy))
            raise
        costs[model.id] = {
            "bytes_per_pixel": round(cost.bytes / side**2, 2),
            "multiplications_per_pixel": round(cost.multiplications / side**2, 1),
        }
    return costs
