"""The first picture of a process: what a user waits for."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from time import perf_counter
from typing import Any

from edgecodec.benchmark.results import Cold
from edgecodec.child_process import ChildFailed, call_in_child
from edgecodec.errors import EngineFailed
from edgecodec.limits import Limits
from edgecodec.timings import Timings

_FUNCTION = "edgecodec.benchmark.first_picture:first_picture"
_PATIENCE = 900.0  # seconds; some engines compile a graph when they load it


def measure(bundle: str, picture: bytes | str, options: Mapping[str, Any], limits: Limits) -> Cold:
    """picture: a coded picture's bytes, to decode, or the path of a picture file, to encode. options: of `open_bundle`.

    Raises EngineFailed where the process fails, as the engine may do in it alone.
    """
    decodes = not isinstance(picture, str)
    with tempfile.TemporaryDirectory() as folder:
        path = picture if isinstance(picture, str) else _written(picture, Path(folder))
        arguments = bundle, path, decodes, dict(options), asdict(limits)
        start = perf_counter()
        try:
            found = call_in_child(_FUNCTION, *arguments, patience=_PATIENCE)
        except ChildFailed as failure:
            raise EngineFailed(f"in a process of its own: {failure}", where=str(options["engine"])) from failure
        process = perf_counter() - start
    return Cold(process, found["open"], Timings(**found["stages"]))


def _written(coded: bytes, folder: Path) -> str:
    path = folder / "picture.edgc"
    path.write_bytes(coded)
    return str(path)
