"""The main job, end to end, with what ships in this folder: checkpoint -> bundle -> .edgc file -> three pictures.

    python examples/main_job.py [--output DIR] [--picture FILE]

Exports the pair of HiFiC checkpoints at alpha 0, 0.5 and 1, encodes a photograph once, decodes the one file with each
decoder on ONNX Runtime, checks that the latents are exact with every kernel and any number of threads, and that the
three pictures differ.
"""

from __future__ import annotations

import argparse
import sys
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
from PIL import Image

import edgecodec
from edgecodec import native
from edgecodec_export import ExportOptions, export_bundle

HERE = Path(__file__).resolve().parent
CHECKPOINTS = HERE.parent / "checkpoints"
ALPHAS = (0.0, 0.5, 1.0)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--output", type=Path, default=Path("out"))
    arguments.add_argument("--picture", type=Path, default=HERE / "photo.png")
    given = arguments.parse_args()
    given.output.mkdir(parents=True, exist_ok=True)
    bundle = given.output / "hific-compact.bundle"

    start = time.perf_counter()
    report = export_bundle(
        ExportOptions(
            [CHECKPOINTS / "hific-compact.safetensors"],
            bundle,
            mse_checkpoints=[CHECKPOINTS / "hific-compact-mse.safetensors"],
            force=True,
            knobs={"alpha": ALPHAS},
        ),
        progress=lambda step: print(f"exporting: {step}", file=sys.stderr),
    )
    print(f"exported {bundle} in {time.perf_counter() - start:.1f} s, model {report.models[0].id}")
    single = [error for file, error in report.errors.items() if ".fp16." not in file]
    print(f"  graphs in fp32 within {max(single):.1e} of PyTorch")
    for file, close in report.closeness.items():
        print(f"  {file} within {close.psnr:.1f} dB of fp32")
    print(f"  integer scale network costs {report.entropy_cost.overhead_percent:+.3f} % bits")

    with edgecodec.open_bundle(bundle) as codec:
        encoded = codec.encode(given.picture)
        file = given.output / "photo.edgc"
        file.write_bytes(encoded.data)
        original = np.asarray(Image.open(given.picture).convert("RGB"))
        info = encoded.info
        size = f"{len(encoded.data)} bytes, {info.bits_per_pixel:.3f} bpp, {info.lanes} lanes"
        print(f"encoded {file}: {info.width}x{info.height}, {size}\n")

        print("alpha   PSNR dB   parse   entropy   engine   rest [ms]   picture")
        pictures = {}
        for alpha in ALPHAS:
            codec.decode(file, alpha=alpha)  # the first picture of an engine also pays for loading its graph
            decoded = codec.decode(file, alpha=alpha)
            pictures[alpha] = decoded.pixels
            path = given.output / f"photo-alpha{alpha:g}.png"
            Image.fromarray(decoded.pixels).save(path)
            took = decoded.timings
            rest = took.total - took.parse - took.entropy - took.engine
            parse, entropy, engine, rest = (1000 * each for each in (took.parse, took.entropy, took.engine, rest))
            stages = f"{parse:5.2f}   {entropy:7.2f}   {engine:6.1f}   {rest:9.2f}"
            print(f"{alpha:5.1f}   {psnr(original, decoded.pixels):7.2f}   {stages}   {path}")

    check_latents(bundle, file, encoded.latents)
    check_pictures(pictures)


def check_latents(bundle: Path, file: Path, expected: dict[str, np.ndarray]) -> None:
    """The decoded integers are the encoder's, with every kernel this processor runs and with one and two threads."""
    usual = native.kernels()
    for kernels in native.kernels_available():
        native.force_kernels(kernels)
        for threads in (1, 2):
            with edgecodec.open_bundle(bundle, threads=threads) as codec:
                decoded = codec.decode_latents(file)
            for name, values in expected.items():
                if not np.array_equal(decoded[name], values):
                    raise SystemExit(f"latent {name} differs with {kernels} kernels and {threads} threads")
    native.force_kernels(usual)
    print(f"\nlatents exact: kernels {', '.join(native.kernels_available())}; 1 and 2 threads")


def check_pictures(pictures: dict[float, np.ndarray]) -> None:
    for one, other in pairwise(pictures):
        difference = np.abs(pictures[one].astype(int) - pictures[other]).mean()
        if difference == 0:
            raise SystemExit(f"alpha {one:g} and {other:g} gave the same picture")
        print(f"alpha {one:g} and {other:g} differ by {difference:.2f} grey levels on average")


def psnr(original: np.ndarray, decoded: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / np.mean((original.astype(np.float64) - decoded) ** 2)))


if __name__ == "__main__":
    main()
