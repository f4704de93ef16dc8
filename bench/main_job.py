"""Figures of the main job for one bundle: decode time split, bytes that are not payload, size over the ideal.

    python bench/main_job.py BUNDLE PICTURE [--rounds N] [--threads N]

Times are medians over the rounds, from file bytes in memory to pixels in memory. The ideal is -sum log2 p over all
symbols: for the latent the exact Gaussian at the scale its integer table index stands for, for the hyperlatent the
integer tables themselves.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import numpy as np

import edgecodec
from edgecodec import container, native
from edgecodec.codec import Timings

SCALES = np.exp(np.linspace(math.log(0.11), math.log(256.0), 64))


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("bundle", type=Path)
    arguments.add_argument("picture", type=Path)
    arguments.add_argument("--rounds", type=int, default=15)
    arguments.add_argument("--threads", type=int)
    given = arguments.parse_args()

    with edgecodec.open_bundle(given.bundle, threads=given.threads) as codec:
        file = codec.encode(given.picture).data
        codec.decode(file)  # the engine loads its graph with the first picture
        timings = [codec.decode(file).timings for _ in range(given.rounds)]
        print(f"kernels {native.kernels()}, engine {codec.describe_engine().name} {codec.describe_engine().version}")
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
    hyperlatent, latent = model.latents
    indices = model.indices(latents, latent.name, width=width, height=height)
    keys, counts = np.unique(
        indices.astype(np.int64) * 65536 + np.abs(latents[latent.name].astype(np.int64)), return_counts=True
    )
    scales, magnitudes = SCALES[keys >> 16], keys & 65535
    upper = np.array([math.erfc(each) for each in (magnitudes - 0.5) / scales / math.sqrt(2)])
    lower = np.array([math.erfc(each) for each in (magnitudes + 0.5) / scales / math.sqrt(2)])
    bits = float(-(counts * np.log2(np.maximum((upper - lower) / 2, 1e-300))).sum())
    return bits + table_bits(Path(codec.info.path) / "entropy.bin", latents[hyperlatent.name])


def table_bits(entropy: Path, hyperlatent: np.ndarray) -> float:
    """-sum log2 p of the hyperlatent under the first table set of entropy.bin (docs/format.md, section 3)."""
    data = entropy.read_bytes()
    tensors, at = int.from_bytes(data[12:14], "little"), 20
    for _ in range(tensors):
        at += 6 + data[at + 5]
    tables, at = int.from_bytes(data[at : at + 2], "little"), at + 2
    bits = 0.0
    for channel in range(tables):
        ranks, raw_bits, sign = data[at], data[at + 1], int.from_bytes(data[at + 2 : at + 3], "little", signed=True)
        mode = int.from_bytes(data[at + 4 : at + 6], "little", signed=True)
        frequencies = np.frombuffer(data, "<u2", ranks, at + 6)
        at += 6 + 2 * ranks
        distance = sign * (hyperlatent[channel].astype(np.int64) - mode)
        shifted = (distance + ((1 << raw_bits) >> 1)) >> raw_bits
        rank = np.where(shifted > 0, 2 * shifted - 1, -2 * shifted).ravel()
        escapes = rank >= ranks - 1
        bits -= np.log2(frequencies[np.minimum(rank, ranks - 1)] / 16384).sum()
        bits += raw_bits * int((~escapes).sum())
        for escaped in distance.ravel()[escapes]:
            bits += 4 + max(int(2 * escaped - 1 if escaped > 0 else -2 * escaped).bit_length(), 1)
    return float(bits)


if __name__ == "__main__":
    main()
