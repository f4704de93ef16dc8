"""Golden pictures: a picture coded with the bundle itself, so that any device can compare its results with them."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from edgecodec.bundle import Bundle
from edgecodec.codec import Codec
from edgecodec.limits import Limits
from edgecodec.manifest import BundleInfo, Golden, GoldenPicture, Knobs
from edgecodec.tiling import Tiler
from edgecodec.verify import latents_sha256
from edgecodec_export.baking import suffix
from edgecodec_export.calibration import Picture
from edgecodec_export.sample_labels import side_arguments

ENGINE = "onnxruntime"
THREADS = 1  # the same pixels on a machine with any number of processors
FOLDER = "golden"

_NOT_TILED = Tiler("off", None)  # golden pictures are small


def write_golden(folder: Path, info: BundleInfo, picture: Picture) -> tuple[Golden, ...]:
    """Encode `picture` with every encoder of the bundle, decode each file with every decoder, and write the results.

    info: describes the bundle in `folder`, which needs no manifest yet. Returns `BundleInfo.golden`.
    """
    (folder / FOLDER).mkdir()
    return tuple(_write_one(folder, info, picture, graph.knobs) for graph in info.analysis)


def _write_one(folder: Path, info: BundleInfo, picture: Picture, knobs: Knobs) -> Golden:
    """The golden file of the encoder with these knobs, and its pictures."""
    coded = f"{FOLDER}/{_name(knobs)}.edgc"
    with _codec(folder, info, {}) as codec:
        side_inputs = side_arguments(info.given, *picture.shape[:2])
        encoded = codec.encode(picture, **knobs, **side_inputs)  # type: ignore[arg-type]  # names are known at run time
        (folder / coded).write_bytes(encoded.data)
        digest = latents_sha256(codec.decode_latents(encoded.data))
    pictures = []
    for graph in info.synthesis:
        if not knobs.items() <= graph.knobs.items():
            continue
        file = f"{FOLDER}/{_name(graph.knobs)}.png"
        # The file itself brings the encoder's knobs. One codec at a time, because decoders may be large.
        asked = {name: value for name, value in graph.knobs.items() if name not in knobs}
        with _codec(folder, info, asked) as codec:
            Image.fromarray(codec.decode(encoded.data).pixels).save(folder / file)
        pictures.append(GoldenPicture(graph.knobs, file))
    return Golden(coded, knobs, digest, tuple(pictures))


def _codec(folder: Path, info: BundleInfo, asked: Knobs) -> Codec:
    return Codec(Bundle(folder, info), ENGINE, asked, None, Limits(), THREADS, _NOT_TILED)


def _name(knobs: Knobs) -> str:
    return f"photo{suffix(knobs)}"
