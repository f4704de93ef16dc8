"""Golden pictures: a picture coded by the bundle itself, so that any device can check itself against the result."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

import edgecodec
from edgecodec.manifest import Knobs
from edgecodec.verify import latents_sha256
from edgecodec_export.baking import suffix
from edgecodec_export.bundle.sample_labels import side_arguments
from edgecodec_export.calibration import Picture

ENGINE = "onnxruntime"
THREADS = 1  # so that the pixels are the same on a machine of any number
FOLDER = "golden"


def write_golden(folder: Path, picture: Picture, encoder_knobs: Sequence[Knobs]) -> list[dict[str, Any]]:
    """Code `picture` with every encoder of the bundle in `folder` as it stands, and decode it with every decoder.

    Returns the manifest's entries.
    """
    (folder / FOLDER).mkdir()
    return [_write_one(folder, picture, knobs) for knobs in encoder_knobs]


def _write_one(folder: Path, picture: Picture, knobs: Knobs) -> dict[str, Any]:
    coded = folder / FOLDER / f"photo{suffix(knobs)}.edgc"
    with edgecodec.open_bundle(folder, engine=ENGINE, threads=THREADS) as codec:
        given = side_arguments(codec.info.given, *picture.shape[:2])
        coded.write_bytes(codec.encode(picture, **knobs, **given).data)
        digest = latents_sha256(codec.decode_latents(coded))
        decoders = [graph for graph in codec.info.synthesis if knobs.items() <= graph.knobs.items()]
    pictures = []
    for graph in decoders:
        file = folder / FOLDER / f"photo{suffix(dict(graph.knobs))}.png"
        # One at a time, because decoders may be large. What the file says already is not asked for.
        asked = {name: value for name, value in graph.knobs.items() if name not in knobs}
        with edgecodec.open_bundle(folder, engine=ENGINE, threads=THREADS, **asked) as codec:
            Image.fromarray(codec.decode(coded).pixels).save(file)
        pictures.append({"knobs": dict(graph.knobs), "file": f"{FOLDER}/{file.name}"})
    file = f"{FOLDER}/{coded.name}"
    return {"file": file, "knobs": knobs, "latents_sha256": digest, "pictures": pictures}
