"""Figures of the main job for one bundle: decode time split, bytes that are not payload, size over the ideal.

    python bench/main_job.py BUNDLE PICTURE [--rounds N] [--threads N]

Times are medians over the rounds, from file bytes in memory to pixels in memory. The ideal is -sum log2 p over all
symbols, p being what the frozen integer tables give each symbol, raw bits and escapes included.
"""

from __future__ import annotations

import argparse
import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np

import edgecodec
from edgecodec import container, native
from edgecodec.codec import Timings


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("bundle", type=Path)
    arguments.add_argument("picture", type=Path)
    arguments.add_argument("--rounds", type=int, default=15)
    arguments.add_argument("--threads", type=int)
    given = arguments.parse_args()

    with edgecodec.open_bundle(given.bundle, threads=given.threads) as codec:
        file = codec.encode(given.picture).data
        engine = codec.decode(file).engine  # it loads its graph with the first picture
        timings = [codec.decode(file).timings for _ in range(given.rounds)]
        print(f"kernels {native.kernels()}, engine {engine.name} {engine.version}")
        report_split(timings)
        report_size(codec, file)


def report_split(timings: Sequence[Timings]) -> None:
    stages = {name: median(getattr(each, name) for each in timings) for name in ("parse", "entropy", "engine", "rest")}
    total = median(each.total for each in timings)
    print("\n| stage | ms | share |\n|---|---|---|")
    for name, seconds in stages.items():
        print(f"| {name} | {1000 * seconds:.2f} | {100 * seconds / total:.1f} % |")
    print(f"| total | {1000 * total:.2f} | |\nall but the engine: {100 * (1 - stages['engine'] / total):.1f} %")


def report_size(codec: edgecodec.Codec, file: bytes) -> None:
    parsed = container.parse(file)
    info = parsed.info
    around = len(file) - len(parsed.payload)
    latents = codec.decode_latents(file)
    ideal = ideal_bits(codec, latents, info.width, info.height)
    print(f"\nfile {len(file)} bytes, {info.bits_per_pixel:.4f} bpp, {info.lanes} lanes, container {around} bytes")
    over = len(file) - ideal / 8
    print(f"ideal {ideal / 8:.1f} bytes; file over ideal {over:+.1f} bytes = {100 * over / (ideal / 8):+.3f} %")
    print(f"allowed besides the payload: 16 + 1.1 * {info.lanes} = {16 + 1.1 * info.lanes:.1f} bytes")


def ideal_bits(codec: edgecodec.Codec, latents: dict[str, np.ndarray], width: int, height: int) -> float:
    model = codec._model
    hyperlatent, latent = model.encoder_latents
    by_channel, by_index = read_table_sets(Path(codec.info.path) / "entropy.bin")
    z = latents[hyperlatent.name]
    channels = np.broadcast_to(np.arange(len(z))[:, None, None], z.shape)
    indices = model.indices(latents, latent.name, width=width, height=height)
    return bits(by_channel, channels, z) + bits(by_index, indices, latents[latent.name])


@dataclass(frozen=True)
class Table:
    """A coding table (docs/format.md, 2.1)."""

    raw_bits: int
    sign: int
    mode: int
    frequencies: list[int]

    def bits(self, value: int) -> float:
        """-log2 p of one value, raw bits and escape included."""
        distance = self.sign * (value - self.mode)
        rank = zigzag((distance + ((1 << self.raw_bits) >> 1)) >> self.raw_bits)
        escape = len(self.frequencies) - 1
        side = self.raw_bits if rank < escape else 4 + max(zigzag(distance).bit_length(), 1)
        return side - math.log2(self.frequencies[min(rank, escape)] / 16384)


def zigzag(value: int) -> int:
    return 2 * value - 1 if value > 0 else -2 * value


def bits(tables: Sequence[Table], indices: np.ndarray, symbols: np.ndarray) -> float:
    pairs, counts = np.unique(np.stack([indices.ravel(), symbols.ravel()]).astype(np.int64), axis=1, return_counts=True)
    return sum(count * tables[index].bits(value) for index, value, count in zip(*pairs.tolist(), counts, strict=True))


def read_table_sets(entropy: Path) -> list[list[Table]]:
    """Every table set of entropy.bin (docs/format.md, section 3)."""
    data = entropy.read_bytes()
    tensors, sets = struct.unpack_from("<HH", data, 12)
    at = 20
    for _ in range(tensors):
        at += 6 + data[at + 5]
    found = []
    for _ in range(sets):
        (count,) = struct.unpack_from("<H", data, at)
        at += 2
        tables = []
        for _ in range(count):
            ranks, raw_bits, sign, mode = struct.unpack_from("<BBbxh", data, at)
            tables.append(Table(raw_bits, sign, mode, list(struct.unpack_from(f"<{ranks}H", data, at + 6))))
            at += 6 + 2 * ranks
        found.append(tables)
    return found


if __name__ == "__main__":
    main()
