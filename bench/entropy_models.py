"""Speed of whole entropy models at their published sizes: every step between a payload and the integer latents.

    python bench/entropy_models.py [--families NAME ...] [--preset NAME] [--size WIDTH HEIGHT] [--rounds N]

Networks have random weights, for speed does not depend on them; the latents are drawn from a Laplace distribution whose
scale gives about the rate that is printed. Every decoded latent is compared over the threads. Times are wall time.
"""

from __future__ import annotations

import argparse
import time
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from edgecodec import native
from edgecodec.entropy_model import EntropyModel
from edgecodec_export.families import Agustsson, build
from edgecodec_export.sample_labels import banded_labels, central_mask

if TYPE_CHECKING:
    from edgecodec.entropy_model import Latents

#: Preset where none is asked for, and the scale of the symbols that are not means of something else.
FAMILIES = {
    "hyperprior": ("published", 0.5),
    "hific": ("published", 0.5),
    "crdr": ("published", 0.5),
    "fidelity": ("published", 1.0),
    "tunable": ("published", 1.0),
    "agustsson": ("published", 1.0),
}
CALIBRATION_SIDE = 256  # pixels
CLASSES = Agustsson.PRESETS["published-sc"].classes


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--families", nargs="+", choices=FAMILIES, default=list(FAMILIES))
    arguments.add_argument("--preset")
    arguments.add_argument("--size", type=int, nargs=2, default=(768, 512), metavar=("WIDTH", "HEIGHT"))
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    given = arguments.parse_args()
    width, height = given.size
    print(f"{native.kernels()} kernels, {width}x{height} pixels, medians of {given.rounds} rounds\n")
    heads = ["family", "entropy.bin MB", "frozen in s", "bits a symbol"]
    heads += [f"{way} ms, {threads} threads" for threads in given.threads for way in ("encode", "decode")]
    print("| " + " | ".join(heads) + " |\n|" + "---|" * len(heads))
    for family in given.families:
        preset, scale = FAMILIES[family]
        begin = time.perf_counter()
        frozen = freeze(family, given.preset or preset)
        seconds = time.perf_counter() - begin
        model = EntropyModel(frozen)
        latents = drawn_latents(model, family, scale, width, height)
        cells = [family, f"{len(frozen) / 1e6:.1f}", f"{seconds:.0f}"]
        payloads = [measure(model, latents, width, height, threads, given.rounds) for threads in given.threads]
        symbols = sum(values.size for values in latents.values())
        cells.append(f"{8 * payloads[0][2] / symbols:.2f}")
        for encode, decode, _ in payloads:
            cells += [f"{1e3 * encode:.1f}", f"{1e3 * decode:.1f}"]
        print("| " + " | ".join(cells) + " |", flush=True)


@torch.no_grad()
def freeze(family: str, preset: str) -> bytes:
    torch.manual_seed(0)
    model = build(family, preset).eval()
    freezer = model.freezer()
    image = torch.rand(1, 3, CALIBRATION_SIDE, CALIBRATION_SIDE)
    return freezer.freeze([freezer.observe(image)]).to_bytes()


def drawn_latents(model: EntropyModel, family: str, scale: float, width: int, height: int) -> Latents:
    generator = np.random.default_rng(0)
    latents: Latents = {}
    for name, shape in model.encoder_shapes(width, height).items():
        values: npt.NDArray[Any] = generator.laplace(0, scale, shape)
        if family == "crdr" and name == "y":
            values *= 64
        elif family == "tunable":
            prefix = np.arange(shape[0])[:, None, None] < generator.integers(0, shape[0] + 1, shape[1:])
            values = np.abs(values).clip(0, 3) * prefix
        elif family == "agustsson" and name == "labels":
            values = banded_labels(CLASSES, *shape[1:])[None]
        elif family == "agustsson" and name == "mask":
            values = central_mask(*shape[1:])[None]
        elif family == "agustsson":
            values = values.clip(-2, 2) * latents.get("mask", 1)
        latents[name] = np.rint(values).astype(np.int16)
    return latents


def measure(
    model: EntropyModel, latents: Latents, width: int, height: int, threads: int, rounds: int
) -> tuple[float, float, int]:
    """Seconds to encode and to decode, and bytes. Raises RuntimeError if threads change what is decoded."""
    encode_times, decode_times = [], []
    for _ in range(rounds):
        begin = time.perf_counter()
        payload, lanes = model.encode(latents, width=width, height=height, threads=threads)
        encode_times.append(time.perf_counter() - begin)
        begin = time.perf_counter()
        decoded = model.decode(payload, width=width, height=height, lanes=lanes, threads=threads)
        decode_times.append(time.perf_counter() - begin)
    alone = model.decode(payload, width=width, height=height, lanes=lanes)
    if any(not np.array_equal(decoded[name], values) for name, values in alone.items()):
        raise RuntimeError("threads change what is decoded")
    return median(encode_times), median(decode_times), len(payload)


if __name__ == "__main__":
    main()
