"""Golden pictures: a picture coded with the bundle itself, so that any device can compare its results with them."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from edgecodec.codec import Codec, open_bundle
from edgecodec.description import BakedGraph, Description, Golden, GoldenPicture, Knobs
from edgecodec.verify import latents_sha256
from edgecodec_export.calibration import Picture
from edgecodec_export.sample_labels import side_arguments
from edgecodec_export.text import suffix

ENGINE = "onnxruntime"
THREADS = 1  # the same pixels on a machine with any number of processors
FOLDER = "golden"


def write_golden(folder: Path, description: Description, picture: Picture) -> tuple[Golden, ...]:
    """Encode `picture` with every encoder of the bundle, decode each file with every decoder, and write the results.

    description: of the bundle in `folder`, whose index is written already. Returns `Background.golden`.
    """
    (folder / FOLDER).mkdir()
    encoders = [graph for graph in description.graphs if graph.side == "encode"]
    return tuple(_write_one(folder, description, picture, graph) for graph in encoders)


def _write_one(folder: Path, description: Description, picture: Picture, encoder: BakedGraph) -> Golden:
    """The golden file of this encoder, and its pictures."""
    knobs = encoder.knobs
    coded = f"{FOLDER}/{_name(knobs)}.edgc"
    with _codec(folder, {}) as codec:
        side_inputs = side_arguments(description.models[encoder.model].side_inputs, *picture.shape[:2])
        encoded = codec.encode(picture, **knobs, **side_inputs)  # type: ignore[arg-type]  # names are known at run time
        (folder / coded).write_bytes(encoded.data)
        digest = latents_sha256(codec.decode_latents(encoded.data))
    pictures = []
    for graph in description.graphs:
        if (graph.side, graph.model) != ("decode", encoder.model) or not knobs.items() <= graph.knobs.items():
            continue
        file = f"{FOLDER}/{_name(graph.knobs)}.png"
        # The file itself brings the encoder's knobs. One codec at a time, because decoders may be large.
        asked = {name: value for name, value in graph.knobs.items() if name not in knobs}
        with _codec(folder, asked) as codec:
            Image.fromarray(codec.decode(encoded.data).pixels).save(folder / file)
        pictures.append(GoldenPicture(graph.knobs, file))
    return Golden(coded, knobs, digest, tuple(pictures))


def _codec(folder: Path, asked: Knobs) -> Codec:
    """Golden pictures are small, and never tiled."""
    return open_bundle(folder, ENGINE, knobs=asked, threads=THREADS, tile="off")


def _name(knobs: Knobs) -> str:
    return f"photo{suffix(knobs)}"
