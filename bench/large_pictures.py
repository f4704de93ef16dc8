"""Memory and time of one large picture, beside what the loaded weights take.

    python bench/large_pictures.py BUNDLE PICTURE... [--size 6000x4000] [--max-memory 4G | --tile N] [--threads N]

The pictures are laid side by side and mirrored until the size is reached. Encoder and decoder each run in a process of
their own (Linux): its peak is reset when the engine has loaded its graph, so that what is counted is the picture, the
latents, the entropy coder and the engine's activations together.
"""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import edgecodec
from edgecodec import memory


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("bundle", type=Path)
    arguments.add_argument("pictures", type=Path, nargs="+")
    arguments.add_argument("--size", default="6000x4000")
    arguments.add_argument("--max-memory", type=memory.parse)
    arguments.add_argument("--tile", default="auto")
    arguments.add_argument("--threads", type=int)
    given = arguments.parse_args()
    width, height = map(int, given.size.split("x"))
    tile = int(given.tile) if given.tile.isdecimal() else given.tile
    options = {"tile": tile, "max_memory": given.max_memory, "threads": given.threads}

    print("| | tiles | more pixels | peak GB | seconds |\n|---|---|---|---|---|")
    processes = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        coded = Path(folder) / "large.edgc"
        for role in (encode, decode):
            process = processes.Process(
                target=role, args=(given.bundle, coded, given.pictures, height, width, options), name=role.__name__
            )
            process.start()
            process.join()


def encode(bundle: Path, coded: Path, pictures: list[Path], height: int, width: int, options: dict[str, Any]) -> None:
    picture = mirrored(pictures, height, width)
    with edgecodec.open_bundle(bundle, **options) as codec:
        load_default_graph(codec, "encode")
        before = start_counting()
        encoded = codec.encode(picture)
        report("encode", encoded, before)
    coded.write_bytes(encoded.data)


def decode(bundle: Path, coded: Path, pictures: list[Path], height: int, width: int, options: dict[str, Any]) -> None:
    with edgecodec.open_bundle(bundle, **options) as codec:
        load_default_graph(codec, "decode")
        before = start_counting()
        report("decode", codec.decode(coded), before)


def load_default_graph(codec: edgecodec.Codec, side: str) -> None:
    defaults = {knob.name: knob.default for knob in codec.info.knobs if knob.side == side}
    for number, graph in enumerate(codec.info.graphs):
        if graph.side == side and graph.knobs.items() <= defaults.items():
            codec.graphs.load(number, low_memory=True)
            return


def report(role: str, result: Any, before: int) -> None:
    tiles, peak = result.tiles, (resident("VmHWM") - before) / 2**30
    counted = f"{tiles.count} of {tiles.width}x{tiles.height}"
    print(f"| {role} | {counted} | {tiles.overhead:.0%} | {peak:.2f} | {result.timings.total:.0f} |", flush=True)


def mirrored(pictures: list[Path], height: int, width: int) -> np.ndarray:
    photos = [np.asarray(Image.open(path).convert("RGB")) for path in pictures]
    least = min(photo.shape[0] for photo in photos)
    row = np.concatenate([photo[:least] for photo in photos], axis=1)
    beyond = [max(0, side - have) for side, have in zip((height, width), row.shape, strict=False)]
    return np.ascontiguousarray(np.pad(row, (*((0, each) for each in beyond), (0, 0)), "reflect")[:height, :width])


def start_counting() -> int:
    Path("/proc/self/clear_refs").write_text("5")
    return resident("VmRSS")


def resident(field: str) -> int:
    """Bytes, of the process's status."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:"))


if __name__ == "__main__":
    main()
