"""Size and speed of coded label maps against lossless WebP.

    python bench/label_maps.py FOLDER [--classes N] [--every N]

FOLDER holds PNG files whose samples, or palette indices, are the labels. They are coded in full, at a half and at a
quarter of their size (every second and fourth label), and as masks at an eighth: of a random quarter of the connected
regions, and of a random box. Sizes are of whole payloads, states and all. WebP (method 6, quality 100) is the smallest
of three: the labels as they are, spread over the greys, and in the file's palette. What is coded is decoded and
compared. Times are CPU time of one thread for a label, the second of two runs.
"""

from __future__ import annotations

import argparse
import io
import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from PIL import Image

from edgecodec.entropy_model import EntropyModel
from edgecodec_export.entropy.entropy_file import LAYOUT_VERSION, MAGIC

Labels = npt.NDArray[np.uint8]
Palette = npt.NDArray[np.uint8]  # (colours, 3)
T = TypeVar("T")


@dataclass(frozen=True)
class Coded:
    """Bytes by the two coders, and nanoseconds that our own took for each label."""

    ours: int
    webp: int
    encode: float
    decode: float


class LabelCoder:
    """The coder of an entropy model that holds nothing but a label map.

    A step with a known number of symbols must follow it: one of constants, which take a few bits together.
    """

    def __init__(self, classes: int) -> None:
        tensors = b"".join(struct.pack("<BBHHB", 0, 1, 1, 1, 1) + name for name in (b"l", b"e"))
        table = struct.pack("<H BBbBh 2H", 1, 2, 0, 1, 0, 0, 16383, 1)
        steps = struct.pack("<BHH", 8, 0, classes) + struct.pack("<B3H", 0, 1, 0, 65535)
        head = struct.pack("<4sHHI4H", MAGIC, LAYOUT_VERSION, 0, 1, 2, 1, 0, 2)
        self._model = EntropyModel(head + tensors + table + steps)

    def code(self, labels: Labels) -> tuple[int, float, float]:
        """Bytes, and seconds of encoding and decoding. Raises RuntimeError if other labels come out."""
        rows, columns = labels.shape
        latents = {"l": labels[None].astype(np.int16), "e": np.zeros((1, rows, columns), np.int16)}
        encoded, (payload, lanes) = measured(lambda: self._model.encode(latents, width=columns, height=rows))
        decoded, result = measured(lambda: self._model.decode(payload, width=columns, height=rows, lanes=lanes))
        if not np.array_equal(result["l"], latents["l"]):
            raise RuntimeError("other labels come out")
        return len(payload), encoded, decoded


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("--classes", type=int, help="default: one more than the largest label")
    arguments.add_argument("--every", type=int, default=1, help="take every Nth file")
    given = arguments.parse_args()
    files = sorted(given.folder.rglob("*.png"))[:: given.every]
    if not files:
        raise SystemExit(f"{given.folder}: no PNG files here")
    maps = [read(file) for file in files]
    classes = given.classes or 1 + max(int(labels.max()) for labels, _ in maps)

    print(f"{len(maps)} label maps, {classes} classes\n")
    print(
        "| what | bytes | WebP | of WebP's | mean | worst | encode ns | decode ns |\n|---|---|---|---|---|---|---|---|"
    )
    generator = np.random.default_rng(0)
    for step, name in ((1, "full size"), (2, "half"), (4, "quarter")):
        print_row(name, classes, ((labels[::step, ::step], palette) for labels, palette in maps))
    for name, mask in (("regions", random_regions), ("box", random_box)):
        print_row(f"mask, {name}", 2, ((mask(labels[4::8, 4::8], generator), None) for labels, _ in maps))


def read(file: Path) -> tuple[Labels, Palette | None]:
    image = Image.open(file)
    palette = image.getpalette() if image.mode == "P" else None
    return np.asarray(image), None if palette is None else np.array(palette, np.uint8).reshape(-1, 3)


def print_row(name: str, classes: int, maps: Iterator[tuple[Labels, Palette | None]]) -> None:
    coder = LabelCoder(classes)
    rows = [measure(coder, labels, classes, palette) for labels, palette in maps]
    ours, webp = (fmean(sizes) for sizes in ([row.ours for row in rows], [row.webp for row in rows]))
    ratios = [row.ours / row.webp for row in rows]
    cells = [name, f"{ours:.0f}", f"{webp:.0f}", f"{ours / webp:.3f}", f"{fmean(ratios):.3f}", f"{max(ratios):.3f}"]
    cells += [f"{median(times):.0f}" for times in ([row.encode for row in rows], [row.decode for row in rows])]
    print("| " + " | ".join(cells) + " |")


def measure(coder: LabelCoder, labels: Labels, classes: int, palette: Palette | None) -> Coded:
    size, encode, decode = coder.code(labels)
    return Coded(size, webp_size(labels, classes, palette), 1e9 * encode / labels.size, 1e9 * decode / labels.size)


def webp_size(labels: Labels, classes: int, palette: Palette | None) -> int:
    coloured = [labels, labels * np.uint8(255 // max(classes - 1, 1))]
    coloured += [] if palette is None else [palette[labels]]
    return min(len(webp(pixels)) for pixels in coloured)


def webp(pixels: npt.NDArray[np.uint8]) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).convert("RGB").save(stream, "WEBP", lossless=True, method=6, quality=100)
    return stream.getvalue()


def random_regions(labels: Labels, generator: np.random.Generator) -> Labels:
    """1 in a quarter of the regions of one label, neighbours being above, below, left and right."""
    region = np.arange(labels.size).reshape(labels.shape)
    while True:
        before = region.copy()
        for there, here in NEIGHBOURS:
            same = labels[there] == labels[here]
            region[here] = np.where(same, np.minimum(region[here], region[there]), region[here])
        if np.array_equal(region, before):
            names, numbers = np.unique(region, return_inverse=True)
            return (generator.random(names.size) < 0.25)[numbers].reshape(labels.shape).astype(np.uint8)


def random_box(labels: Labels, generator: np.random.Generator) -> Labels:
    (top, bottom), (left, right) = (sorted(generator.integers(0, side + 1, 2)) for side in labels.shape)
    mask = np.zeros_like(labels)
    mask[top:bottom, left:right] = 1
    return mask


ALL, FIRST, REST = slice(None), slice(None, -1), slice(1, None)
NEIGHBOURS = (
    ((FIRST, ALL), (REST, ALL)),
    ((REST, ALL), (FIRST, ALL)),
    ((ALL, FIRST), (ALL, REST)),
    ((ALL, REST), (ALL, FIRST)),
)


def measured(job: Callable[[], T]) -> tuple[float, T]:
    job()
    begin = time.process_time()
    result = job()
    return time.process_time() - begin, result


if __name__ == "__main__":
    main()
