"""Golden pictures: a picture coded with the bundle itself, so that any device can compare its results with them.

Every decoder has its own, in each precision. They are coded by the encoders in fp32, or in whatever precision
comes first: another precision may code another file that is as good.
"""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from edgecodec.codec import Codec, open_bundle
from edgecodec.description import SINGLE, BakedGraph, Description, Golden, GoldenPicture, Knobs
from edgecodec.verify import latents_sha256
from edgecodec_export.calibration import Picture
from edgecodec_export.sample_labels import side_arguments
from edgecodec_export.text import suffix

ENGINE = "onnxruntime"
THREADS = 1  # the same pixels on a machine with any number of processors
FOLDER = "golden"


def write_golden(folder: Path, description: Description, picture: Picture) -> tuple[Golden, ...]:
    """Encode `picture` at the knobs of every encoder, decode each file with every decoder, and write the results.

    description: of the bundle in `folder`, whose index is written already. Returns `Background.golden`.
    """
    (folder / FOLDER).mkdir()
    encoders: list[BakedGraph] = []
    for graph in description.graphs:
        known = any((each.model, each.knobs) == (graph.model, graph.knobs) for each in encoders)
        if graph.side == "encode" and not known:
            encoders.append(graph)
    return tuple(_write_one(folder, description, picture, graph) for graph in encoders)


def _write_one(folder: Path, description: Description, picture: Picture, encoder: BakedGraph) -> Golden:
    """The golden file of this encoder, and its pictures."""
    knobs = encoder.knobs
    model = f"-{description.models[encoder.model].id}" if len(description.models) > 1 else ""
    coded = f"{FOLDER}/{_name(model, knobs)}.edgc"
    with _codec(folder, {}, None) as codec:
        side_inputs = side_arguments(description.models[encoder.model].side_inputs, *picture.shape[:2])
        encoded = codec.encode(picture, **knobs, **side_inputs)  # type: ignore[arg-type]  # names are known at run time
        (folder / coded).write_bytes(encoded.data)
        digest = latents_sha256(codec.decode_latents(encoded.data))
    pictures = []
    for graph in description.graphs:
        if (graph.side, graph.model) != ("decode", encoder.model) or not _decodes(graph, knobs):
            continue
        ending = "" if graph.precision == SINGLE else f".{graph.precision}"
        file = f"{FOLDER}/{_name(model, {**knobs, **graph.knobs})}{ending}.png"
        # The file itself brings the encoder's knobs. One codec at a time, because decoders may be large.
        asked = {name: value for name, value in graph.knobs.items() if name not in knobs}
        with _codec(folder, asked, graph.precision) as codec:
            Image.fromarray(codec.decode(encoded.data).pixels).save(folder / file)
        pictures.append(GoldenPicture(graph.knobs, file, graph.precision))
    return Golden(coded, knobs, digest, tuple(pictures))


def _decodes(decoder: BakedGraph, encoded: Knobs) -> bool:
    """Whether the decoder decodes what an encoder at these knobs coded."""
    return all(decoder.knobs.get(name, value) == value for name, value in encoded.items())


def _codec(folder: Path, asked: Knobs, precision: str | None) -> Codec:
    """Golden pictures are small, and never tiled."""
    return open_bundle(folder, ENGINE, knobs=asked, precision=precision, threads=THREADS, tile="off")


def _name(model: str, knobs: Knobs) -> str:
    """model: what tells it from the others of the bundle."""
    return f"photo{model}{suffix(knobs)}"
