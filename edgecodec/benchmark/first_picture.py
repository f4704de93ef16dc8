"""What the process of a cold measurement does. It imports nothing that decoding and encoding do not."""

from __future__ import annotations

from dataclasses import asdict
from time import perf_counter
from typing import Any


def first_picture(bundle: str, path: str, decodes: bool, options: dict[str, Any], limits: dict[str, int]) -> Any:
    """The seconds until a bundle is open, and those of the stages of its first picture.

    decodes: whether the picture is a coded one. options: of `open_bundle`. limits: by their fields.
    """
    start = perf_counter()
    import edgecodec

    with edgecodec.open_bundle(bundle, limits=edgecodec.Limits(**limits), **options) as codec:
        opened = perf_counter() - start
        timings = codec.decode(path).timings if decodes else codec.encode(path, "drop").timings
    return {"open": opened, "stages": asdict(timings)}
