"""What baking saves: graphs with their knobs as inputs against the same graphs with the knobs baked into the weights.

    python bench/baking.py MODEL... [--picture FILE] [--rounds N] [--threads N]

A MODEL is CHECKPOINT (crdr: quality and beta), CHECKPOINT+MSE_CHECKPOINT (alpha), or FAMILY/PRESET for random weights.
Both graphs run on 768x512 pixels in ONNX Runtime on the processor, in turn; the ratio is the median of all rounds'
ratios. "same" is the largest difference between the two in what they compute, "apart" the mean difference between the
pictures of two baked points, in levels of 255: a knob without effect would leave it at 0.
"""

from __future__ import annotations

import argparse
import copy
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
import torch
from PIL import Image
from torch import Tensor, nn

from edgecodec_export.baking import Baking, Decoder
from edgecodec_export.calibration import to_tensor
from edgecodec_export.checkpoints import load_models, read_checkpoint
from edgecodec_export.families import Crdr, LearnedCodec, build
from edgecodec_export.graphs.onnx_export import OPSET, quiet_exporter
from edgecodec_export.layers.conditioning import Conditioning, InterpolatedChannelAttention
from edgecodec_export.layers.fixed_point import LATENT_UNIT, fixed_point

WIDTH, HEIGHT = 768, 512
QUALITIES, BETAS, ALPHAS = (1.0, 3.0), (0.0, 3.84), (0.0, 0.5)
Outputs = Sequence[npt.NDArray[Any]]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("models", nargs="+")
    arguments.add_argument("--picture", type=Path, default=Path("examples/photo.png"))
    arguments.add_argument("--rounds", type=int, default=15)
    arguments.add_argument("--threads", type=int, default=1)
    given = arguments.parse_args()
    pixels = np.array(Image.open(given.picture).convert("RGB").resize((WIDTH, HEIGHT)))
    print("| model | graph | knobs as inputs, ms | baked, ms | ratio | same | apart |\n" + "|---" * 7 + "|")
    for name in given.models:
        for comparison in comparisons(*load(name), to_tensor(pixels)):
            cells = measure(comparison, given.rounds, given.threads)
            print(f"| {name} | {comparison.graph} | " + " | ".join(cells) + " |", flush=True)


@dataclass(frozen=True)
class Comparison:
    """A graph that takes `values` of its knobs behind its inputs, the one baked at them, and one baked elsewhere."""

    graph: str
    by_input: nn.Module
    baked: nn.Module
    elsewhere: nn.Module | None
    inputs: tuple[Tensor, ...]
    values: Sequence[float]


def load(name: str) -> tuple[LearnedCodec, LearnedCodec | None]:
    if name.endswith(".safetensors"):
        return load_models(*(read_checkpoint(Path(each)) for each in name.split("+")))
    torch.manual_seed(0)
    model, other = (build(*name.split("/")).eval() for _ in range(2))
    encoder = {key: value for key, value in model.state_dict().items() if not key.startswith(model.DECODER_PREFIXES)}
    other.load_state_dict(other.state_dict() | encoder)
    return model, other


@torch.no_grad()
def comparisons(model: LearnedCodec, mse: LearnedCodec | None, image: Tensor) -> Iterator[Comparison]:
    """Every graph of the model that knobs act in."""
    if isinstance(model, Crdr):
        baking: Baking = model.baking({"quality": QUALITIES} | ({"beta": BETAS} if model.realism else {}))
        encoder = baking.baked_encoder({"quality": QUALITIES[1]}).module
        yield Comparison("analysis", EncoderByInput(model), encoder, None, (image,), QUALITIES[1:])
        points = [{"quality": QUALITIES[1]} | ({"beta": beta} if model.realism else {}) for beta in BETAS]
        if not model.realism:
            points[0] = {"quality": QUALITIES[0]}
        latents = encoder(image)[1:]
        by_input: nn.Module = DecoderByInput(model)
    else:
        assert mse is not None
        baking = model.baking({"alpha": ALPHAS}, mse)
        points = [{"alpha": alpha} for alpha in ALPHAS]
        latents = baking.baked_encoder({}).module(image)
        by_input = InterpolationByInput(model, mse)
    elsewhere, baked = (baking.baked_decoder(knobs).module for knobs in points)
    yield Comparison("synthesis", by_input, baked, elsewhere, latents, tuple(points[1].values()))


class AttentionByInput(InterpolatedChannelAttention):
    """Channel attention that takes its quality as a tensor."""

    def __init__(self, fixed: InterpolatedChannelAttention) -> None:
        super().__init__(*fixed.weight.shape[:2])
        self.load_state_dict(fixed.state_dict())

    def at(self, quality: Any) -> tuple[Tensor, Tensor]:
        below = quality.floor()
        low, high = (each.long().reshape(1) for each in (below, (below + 1).clamp(max=len(self.weight) - 1)))
        weight, bias = (
            torch.lerp(stored.index_select(0, low), stored.index_select(0, high), quality - below)
            for stored in (self.weight, self.bias)
        )
        return nn.functional.softplus(weight), bias


class CrdrByInput(nn.Module):
    def __init__(self, model: Crdr) -> None:
        super().__init__()
        self.model = copy.deepcopy(model)
        for transform in (self.model.analysis, self.model.synthesis):
            for name, layer in list(transform.named_children()):
                if isinstance(layer, InterpolatedChannelAttention):
                    setattr(transform, name, AttentionByInput(layer))


class EncoderByInput(CrdrByInput):
    """(image, quality) as the encoder of CRDR; quality is a tensor."""

    def forward(self, image: Tensor, quality: Any) -> tuple[Tensor, Tensor]:
        y = self.model.analysis(2 * image - 1, Conditioning(quality))
        return self.model.hyperlatent_symbols(y), fixed_point(y)


class DecoderByInput(CrdrByInput):
    """(y_hat, quality), and beta where there is one, as the decoder of CRDR; quality and beta are tensors."""

    def forward(self, y_hat: Tensor, quality: Any, *beta: Tensor) -> Tensor:
        embedding = self.model.realism(*beta) if self.model.realism else None
        return (self.model.synthesis(y_hat * LATENT_UNIT, Conditioning(quality, embedding)) + 1) / 2


class InterpolationByInput(nn.Module):
    """(latents, alpha) through a decoder whose weights are mixed of two decoders' in every run."""

    def __init__(self, model: LearnedCodec, mse: LearnedCodec) -> None:
        super().__init__()
        self.main, self.mse = Decoder(model), Decoder(mse)
        self.mixed = [f"model.{name}" for name in model.state_dict() if name.startswith(model.DECODER_PREFIXES)]

    def forward(self, *inputs: Tensor) -> Tensor:
        *latents, alpha = inputs
        main, mse = self.main.state_dict(keep_vars=True), self.mse.state_dict(keep_vars=True)
        mixed = {name: (1 - alpha) * mse[name] + alpha * main[name] for name in self.mixed}
        return torch.func.functional_call(self.main, mixed, tuple(latents))


def measure(comparison: Comparison, rounds: int, threads: int) -> list[str]:
    knobs = tuple(torch.tensor(value) for value in comparison.values)
    by_input = Session(comparison.by_input, comparison.inputs + knobs, threads)
    baked = Session(comparison.baked, comparison.inputs, threads)
    times: list[tuple[float, float]] = []
    for _ in range(rounds + 1):
        times.append((by_input.timed(), baked.timed()))
    slow, fast = zip(*times[1:], strict=True)
    ratio = median(b / a for a, b in times[1:])
    cells = [f"{1e3 * median(slow):.0f}", f"{1e3 * median(fast):.0f}", f"{ratio:.3f}"]
    pairs = zip(by_input.outputs, baked.outputs, strict=True)
    cells.append(f"{max(float(np.abs(a - b).max()) for a, b in pairs):.1e}")
    if comparison.elsewhere is None:
        return [*cells, ""]
    other = Session(comparison.elsewhere, comparison.inputs, threads)
    other.timed()
    shown = [(255 * outputs[0].clip(0, 1)).round() for outputs in (other.outputs, baked.outputs)]
    return [*cells, f"{float(np.abs(shown[0] - shown[1]).mean()):.2f}"]


class Session:
    """A module as a graph of ONNX Runtime, for inputs of one size."""

    def __init__(self, module: nn.Module, inputs: tuple[Tensor, ...], threads: int) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        with tempfile.TemporaryDirectory() as folder, quiet_exporter():
            path = Path(folder) / "graph.onnx"
            torch.onnx.export(module.eval(), inputs, path, dynamo=True, opset_version=OPSET, verbose=False)
            self._session = onnxruntime.InferenceSession(path, options, ["CPUExecutionProvider"])
        names = [each.name for each in self._session.get_inputs()]
        self._inputs = dict(zip(names, (each.numpy() for each in inputs), strict=True))
        self.outputs: Outputs = ()

    def timed(self) -> float:
        """Seconds of one run."""
        begin = time.perf_counter()
        self.outputs = self._session.run(None, self._inputs)
        return time.perf_counter() - begin


if __name__ == "__main__":
    main()
