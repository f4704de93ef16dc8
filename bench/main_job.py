"""Figures of the main job for one bundle: decode time split, bytes that are not payload, size over the ideal.

    python bench/main_job.py BUNDLE PICTURE [--rounds N] [--threads N]

Times are medians over the rounds, from file bytes in memory to pixels in memory. The ideal is -sum log2 p over all
symbols, p being what the frozen integer tables give each symbol, raw bits and escapes included.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import edgecodec
from edgecodec import container, native
from edgecodec.bundle import Bundle
from edgecodec.encoding import Encoded
from edgecodec.entropy_model import EntropyModel
from edgecodec.timings import Timings


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("bundle", type=Path)
    arguments.add_argument("picture", type=Path)
    arguments.add_argument("--rounds", type=int, default=15)
    arguments.add_argument("--threads", type=int)
    given = arguments.parse_args()

    with edgecodec.open_bundle(given.bundle, threads=given.threads) as codec:
        encoded = codec.encode(given.picture)
        file = encoded.data
        engine = codec.decode(file).engine  # it loads its graph with the first picture
        timings = [codec.decode(file).timings for _ in range(given.rounds)]
        print(f"kernels {native.kernels()}, engine {engine.name} {engine.version}")
        report_split(timings)
        report_size(EntropyModel(Bundle(given.bundle).read(codec.info.models[0].entropy)), encoded)


def report_split(timings: Sequence[Timings]) -> None:
    stages = {name: median(getattr(each, name) for each in timings) for name in ("parse", "entropy", "engine", "rest")}
    total = median(each.total for each in timings)
    print("\n| stage | ms | share |\n|---|---|---|")
    for name, seconds in stages.items():
        print(f"| {name} | {1000 * seconds:.2f} | {100 * seconds / total:.1f} % |")
    print(f"| total | {1000 * total:.2f} | |\nall but the engine: {100 * (1 - stages['engine'] / total):.1f} %")


def report_size(model: EntropyModel, encoded: Encoded) -> None:
    file, info = encoded.data, encoded.info
    around = len(file) - len(container.parse(file).payload)
    ideal = model.bits(encoded.latents, width=info.width, height=info.height)
    print(f"\nfile {len(file)} bytes, {info.bits_per_pixel:.4f} bpp, {info.lanes} lanes, container {around} bytes")
    over = len(file) - ideal / 8
    print(f"ideal {ideal / 8:.1f} bytes; file over ideal {over:+.1f} bytes = {100 * over / (ideal / 8):+.3f} %")
    print(f"allowed besides the payload: 16 + 1.1 * {info.lanes} = {16 + 1.1 * info.lanes:.1f} bytes")


if __name__ == "__main__":
    main()
