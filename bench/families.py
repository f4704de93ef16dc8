"""What every family costs at every size: parameters, work, bundle, export, and a decode of one picture.

    python bench/families.py PICTURE [--models FAMILY/PRESET ...] [--checkpoints FOLDER] [--rounds N] [--threads N]

A model has the weights of FOLDER/FAMILY-PRESET[-mse].safetensors if there is one; then PICTURE is coded with it.
Otherwise its weights are random, all of them: what starts as a constant would leave knobs without effect, and points
that differ in a trained model would share their weights. Then work, memory and size do not depend on the weights, and
the symbols of a picture of that size are drawn from a Laplace distribution. A bundle is written with the default knobs.
Export and decode each run in a process of their own, whose peak is all of its memory: interpreter, libraries, weights
and activations (Linux).
"""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from statistics import median
from typing import Any

import torch
from entropy_models import drawn_latents
from large_pictures import resident
from PIL import Image

import edgecodec
from edgecodec import container
from edgecodec.entropy_model import EntropyModel
from edgecodec_export import ExportOptions, export_bundle
from edgecodec_export.checkpoints import load_model, read_checkpoint, save_checkpoint
from edgecodec_export.families import FAMILIES, build
from edgecodec_export.graphs.work import work_of

DISTURBANCE = 0.1  # standard deviation of what is added to parameters that start as constants
STAGES = ("parse", "entropy", "engine", "rest")


def main() -> None:
    known = [f"{name}/{preset}" for name, family in FAMILIES.items() for preset in family.PRESETS]
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("picture", type=Path)
    arguments.add_argument("--models", nargs="+", choices=known, default=known, metavar="FAMILY/PRESET")
    arguments.add_argument("--checkpoints", type=Path, default=Path("checkpoints"))
    arguments.add_argument("--rounds", type=int, default=7)
    arguments.add_argument("--threads", type=int, default=2)
    given = arguments.parse_args()

    heads = ["model", "weights", "parameters, M", "analysis kMAC", "entropy kMAC", "synthesis kMAC", "decoders"]
    heads += ["bundle MB", "export s", "export GB", *(f"{stage} ms" for stage in STAGES), "decode GB"]
    print("| " + " | ".join(heads) + " |\n|" + "---|" * len(heads))
    for model in given.models:
        family, preset = model.split("/")
        with tempfile.TemporaryDirectory() as folder:
            named = [given.checkpoints / f"{family}-{preset}{part}.safetensors" for part in ("", "-mse")]
            shipped = [file for file in named if file.exists()]
            checkpoint, bundle = Path(folder) / "drawn.safetensors", Path(folder) / "bundle"
            if shipped:
                checkpoint = shipped[0]
            else:
                alone(draw, family, preset, checkpoint)
            counts, _ = alone(count, checkpoint)
            (seconds, size, decoders), export_peak = alone(export, checkpoint, bundle)
            drawn = None if shipped else family
            timings, decode_peak = alone(decode, bundle, given.picture, drawn, given.rounds, given.threads)
        weights = "trained" if shipped else "random"
        cells = [f"`{family}` {preset}", weights, *(f"{each:.4g}" for each in counts), str(decoders)]
        cells += [f"{size / 1e6:.1f}", f"{seconds:.0f}", f"{export_peak / 2**30:.1f}"]
        cells += [f"{1e3 * each:.1f}" for each in timings] + [f"{decode_peak / 2**30:.2f}"]
        print("| " + " | ".join(cells) + " |", flush=True)


def alone(work: Callable[..., Any], *given: Any) -> tuple[Any, int]:
    """What `work` returns in a process of its own, and the most bytes that process held."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        return process.submit(work, *given).result(), process.submit(resident, "VmHWM").result()


@torch.no_grad()
def draw(family: str, preset: str, checkpoint: Path) -> None:
    """A checkpoint without a constant: what starts as one is disturbed."""
    torch.manual_seed(0)
    model = build(family, preset)
    for each in model.parameters():
        if each.min() == each.max():
            each.add_(DISTURBANCE * torch.randn_like(each))
    save_checkpoint(checkpoint, model, family, preset, {})


def count(checkpoint: Path) -> tuple[float, float, float, float]:
    """Millions of parameters, and thousands of multiplications for a pixel of the three parts as they are baked."""
    work = work_of(load_model(read_checkpoint(checkpoint)))
    return work.parameters / 1e6, work.analysis / 1e3, work.entropy / 1e3, work.synthesis / 1e3


def export(checkpoint: Path, bundle: Path) -> tuple[float, int, int]:
    """Seconds, bytes of the bundle, and how many decoders it holds."""
    torch.set_num_threads(2)
    begin = time.perf_counter()
    report = export_bundle(ExportOptions([checkpoint], bundle, precision=("fp32",)))
    return time.perf_counter() - begin, report.size, len(list(bundle.glob("synthesis*.onnx")))


def decode(bundle: Path, picture: Path, drawn: str | None, rounds: int, threads: int) -> list[float]:
    """Median seconds of every stage, from a file in memory to pixels in memory.

    drawn: the family, if the symbols are to be drawn.
    """
    with edgecodec.open_bundle(bundle, threads=threads) as codec:
        file = codec.encode(picture).data if drawn is None else drawn_file(codec, picture, drawn)
    with edgecodec.open_bundle(bundle, threads=threads) as codec:
        codec.decode(file)  # the engine loads its graph with the first picture
        timings = [codec.decode(file).timings for _ in range(rounds)]
    return [median(getattr(each, stage) for each in timings) for stage in STAGES]


def drawn_file(codec: edgecodec.Codec, picture: Path, family: str) -> bytes:
    """A file of the picture's size and the bundle's default quality."""
    width, height = Image.open(picture).size
    model = EntropyModel((Path(codec.info.path) / "entropy.bin").read_bytes())
    payload, lanes = model.encode(drawn_latents(model, family, 1.0, width, height), width=width, height=height)
    quality = next((knob.default for knob in codec.info.knobs if knob.name == "quality"), None)
    return container.write(payload, width=width, height=height, lanes=lanes, model_id=model.model_id, quality=quality)


if __name__ == "__main__":
    main()
