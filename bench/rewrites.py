"""What rewrites save: graphs in the form of the model against the same graphs as they are exported.

    python bench/rewrites.py MODEL... [--picture FILE] [--rounds N] [--compile]

A MODEL is a CHECKPOINT, or FAMILY/PRESET for random weights. Both graphs run on 768x512 pixels in ONNX Runtime on one
thread, in turn. Times are milliseconds of the processor, medians; the ratio is the median of all rounds' ratios. "same"
is the largest difference between outputs, in levels of 255 or in integers of latents. --compile adds what torch.compile
makes of the form of the model, on the same inputs, and the ratio of the exported graph to it.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
import torch
from PIL import Image

from edgecodec.description import LatentSpec
from edgecodec_export.baking import Point
from edgecodec_export.checkpoints import load_model, read_checkpoint
from edgecodec_export.families import LearnedCodec, build
from edgecodec_export.graphs.onnx_export import (
    IMAGE,
    SIZE,
    AnalysisModule,
    SynthesisModule,
    export_analysis,
    export_synthesis,
    synthesis_inputs,
    takes_size,
)

WIDTH, HEIGHT = 768, 512
Inputs = dict[str, npt.NDArray[Any]]
Run = Callable[[], list[npt.NDArray[Any]]]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("models", nargs="+")
    arguments.add_argument("--picture", type=Path, default=Path("examples/photo.png"))
    arguments.add_argument("--rounds", type=int, default=9)
    arguments.add_argument("--compile", action="store_true")
    given = arguments.parse_args()
    torch.set_num_threads(1)
    pixels = np.array(Image.open(given.picture).convert("RGB").resize((WIDTH, HEIGHT)))
    heads = ["model", "graph", "as the model has it, ms", "as exported, ms", "ratio", "same"]
    heads += ["torch.compile, ms", "ratio to it"] if given.compile else []
    print("| " + " | ".join(heads) + " |\n" + "|---" * len(heads) + "|")
    for name in given.models:
        for graph, runs in graphs(load(name), pixels, given.compile):
            cells = measure(runs, given.rounds)
            print(f"| {name} | {graph} | " + " | ".join(cells) + " |", flush=True)


def load(name: str) -> LearnedCodec:
    torch.manual_seed(0)
    return load_model(read_checkpoint(Path(name))) if name.endswith(".safetensors") else build(*name.split("/")).eval()


def graphs(model: LearnedCodec, pixels: npt.NDArray[np.uint8], compiled: bool) -> Iterator[tuple[str, list[Run]]]:
    """Synthesis and analysis, each as the model has it, as it is exported, and compiled where that is asked for."""
    baking = model.baking()
    decoder, encoder = baking.decoder_knobs()[-1], baking.encoder_knobs()[-1]
    latents = {each.name: drawn(each) for each in synthesis_inputs(model)}
    runs = [
        session(export_synthesis, model, p, latents) for p in (baking.baked_decoder(decoder), baking.decoder(decoder))
    ]
    if compiled:
        runs.append(of_torch(SynthesisModule(baking.baked_decoder(decoder).module), latents))
    yield "synthesis", runs

    points = (baking.baked_encoder(encoder), baking.encoder(encoder))
    picture: Inputs = {IMAGE: pixels}
    if takes_size(model):
        picture[SIZE] = np.array(pixels.shape[:2])
    picture |= {name: np.array(scalar.default, np.float32) for name, scalar in points[0].scalars.items()}
    runs = [session(export_analysis, model, point, picture) for point in points]
    if compiled:
        runs.append(of_torch(AnalysisModule(points[0].module, takes_size(model)), picture))
    yield "analysis", runs


def drawn(latent: LatentSpec) -> npt.NDArray[np.float32]:
    """Random integers, as latents are."""
    lowest, end = {"labels": (0, 5), "noise": (-9000, 9000)}.get(latent.name, (-3, 4))
    shape = (1, latent.channels, HEIGHT // latent.stride, WIDTH // latent.stride)
    return np.random.default_rng(0).integers(lowest, end, shape).astype(np.float32)


def session(export: Callable[..., Any], model: LearnedCodec, point: Point, inputs: Inputs) -> Run:
    """A run of a graph in ONNX Runtime."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "graph.onnx"
        export(model, point, path)
        opened = onnxruntime.InferenceSession(path, options, ["CPUExecutionProvider"])
    return lambda: list(opened.run(None, inputs))


def of_torch(module: torch.nn.Module, inputs: Inputs) -> Run:
    """A run of a module that torch.compile has compiled for inputs of this size."""
    fast = torch.compile(module.eval())
    tensors = [torch.from_numpy(each) for each in inputs.values()]

    @torch.no_grad()
    def run() -> list[npt.NDArray[Any]]:
        outputs = fast(*tensors)
        return [each.numpy() for each in (outputs if isinstance(outputs, tuple) else (outputs,))]

    return run


def measure(runs: list[Run], rounds: int) -> list[str]:
    """Cells of a row. The first round, which compiles, is left out."""
    outputs = [run() for run in runs]
    times = [[milliseconds(run) for run in runs] for _ in range(rounds)]
    before, after, *compiled = zip(*times, strict=True)
    largest = max(float(np.abs(np.float64(a) - b).max()) for a, b in zip(outputs[0], outputs[1], strict=True))
    cells = [f"{median(before):.0f}", f"{median(after):.0f}", paired(after, before), f"{largest:g}"]
    return cells + [cell for each in compiled for cell in (f"{median(each):.0f}", paired(after, each))]


def paired(times: tuple[float, ...], others: tuple[float, ...]) -> str:
    return f"{median(a / b for a, b in zip(times, others, strict=True)):.2f}"


def milliseconds(run: Run) -> float:
    begin = time.process_time()
    run()
    return 1e3 * (time.process_time() - begin)


if __name__ == "__main__":
    main()
