"""Parity of every exported graph with the PyTorch model it came from, measured before rounding hides differences.

A graph makes decisions in a few places: it rounds, or compares with a threshold. There the values decided on are
compared with PyTorch's, and PyTorch continues with the graph's decision. A value halfway between two integers, which
may round either way, is therefore not an error, and neither are its consequences. After the last decision both must
agree exactly.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from edgecodec.errors import VerificationFailed
from edgecodec_engines.onnxruntime import import_runtime
from edgecodec_export.baking import Point
from edgecodec_export.families.codec import LearnedCodec
from edgecodec_export.graphs.onnx_export import (
    IMAGE,
    SIZE,
    AnalysisModule,
    SynthesisModule,
    takes_size,
)
from edgecodec_export.graphs.sample_latents import decoder_inputs
from edgecodec_export.precisions.precision import Single

onnxruntime = import_runtime()

PADDING = 5  # pixels at the bottom and right that a graph with a size input is told are padding

Array = npt.NDArray[Any]
_DECISIONS = {
    "Round": torch.ops.aten.round,
    "Floor": torch.ops.aten.floor,
    "Greater": torch.ops.aten.gt,
    "GreaterOrEqual": torch.ops.aten.ge,
}


def check_analysis_parity(
    path: Path,
    model: LearnedCodec,
    point: Point,
    pictures: Sequence[npt.NDArray[np.uint8]],
    largest: float = Single.LARGEST_ERROR,
) -> float:
    """Largest error of the analysis graph in `path` over `pictures`, with each scalar at its ends and its default.

    pictures: (H, W, 3), sides multiples of the alignment. largest: the error that is allowed, absolute for values up to
    1, relative to the largest value beyond. Raises VerificationFailed for a larger one and for decisions that differ.
    """
    knobs = [(scalar.low, scalar.default, scalar.high) for scalar in point.scalars.values()]
    inputs: list[dict[str, Array]] = []
    for picture, values in product(pictures, product(*knobs)):
        others = {name: np.array(value, np.float32) for name, value in zip(point.scalars, values, strict=True)}
        size = {SIZE: np.array(picture.shape[:2], np.int64) - PADDING} if takes_size(model) else {}
        inputs.append({IMAGE: picture, **size, **others})
    return _largest_error(path, AnalysisModule(point.reference, takes_size(model)), inputs, largest)


def check_synthesis_parity(
    path: Path,
    model: LearnedCodec,
    point: Point,
    latents: Sequence[Mapping[str, Array]],
    largest: float = Single.LARGEST_ERROR,
) -> float:
    """Largest error of the synthesis graph in `path` over `latents`.

    latents: decoder latents (C, h, w) by name; noise is added here. largest: as above, of pictures in [0, 1]. Raises
    VerificationFailed for a larger error and for bytes that are not the rounded picture.
    """
    inputs = [decoder_inputs(model, each) for each in latents]
    return _largest_error(path, SynthesisModule(point.reference), inputs, largest)


@torch.no_grad()
def _largest_error(path: Path, reference: nn.Module, inputs: Sequence[Mapping[str, Array]], allowed: float) -> float:
    """Largest error over `inputs`, each of which is in the order of the reference's arguments."""
    graph = _Instrumented(path)
    errors = [0.0]
    for each in inputs:
        outputs, decisions = graph.run(each)
        with _Replay(decisions, path.name) as replay:
            expected = reference(*map(torch.from_numpy, each.values()))
        errors += replay.finished()
        expected = expected if isinstance(expected, tuple) else (expected,)
        if not all(np.array_equal(a.numpy(), b) for a, b in zip(expected, outputs, strict=True)):
            raise VerificationFailed("has outputs that are not those of its decisions", where=path.name)
    largest = max(errors)
    if largest > allowed:
        raise VerificationFailed(f"differs from PyTorch by {largest:.2e}, more than {allowed:.0e}", where=path.name)
    return largest


class _Instrumented:
    """A graph on the processor that also outputs every float it decides on, and its decision."""

    def __init__(self, path: Path) -> None:
        graph = onnx.load(path, load_external_data=False)
        self._outputs = [output.name for output in graph.graph.output]
        self._decisions = [
            (node.op_type, node.input[0], node.output[0]) for node in graph.graph.node if node.op_type in _DECISIONS
        ]
        inner = {name for _, *names in self._decisions for name in names} - set(self._outputs)
        graph.graph.output.extend(onnx.ValueInfoProto(name=name) for name in sorted(inner))
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        options.intra_op_num_threads = torch.get_num_threads()
        # In the graph's folder, because paths of external weights are relative to it.
        with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".onnx") as file:
            file.write(graph.SerializeToString())
            file.flush()
            del graph
            self._session = onnxruntime.InferenceSession(file.name, options, providers=["CPUExecutionProvider"])

    def run(self, inputs: Mapping[str, Array]) -> tuple[list[Array], list[tuple[str, Array, Array]]]:
        """The outputs; and for each decision on floats its operator, its input and its output."""
        names = [output.name for output in self._session.get_outputs()]
        values = dict(zip(names, self._session.run(names, dict(inputs)), strict=True))
        decisions = [(kind, values[given], values[decided]) for kind, given, decided in self._decisions]
        return [values[name] for name in self._outputs], [each for each in decisions if each[1].dtype == np.float32]


class _Replay(TorchDispatchMode):
    """While active, PyTorch uses a graph's decisions, one after the other, instead of its own."""

    def __init__(self, decisions: Sequence[tuple[str, Array, Array]], name: str) -> None:
        super().__init__()
        self._left: Iterator[tuple[str, Array, Array]] = iter(decisions)
        self._name = name
        self._errors: list[float] = []

    def __torch_dispatch__(self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        kinds = [kind for kind, packet in _DECISIONS.items() if function.overloadpacket is packet]
        if not kinds or not args[0].is_floating_point():
            return function(*args, **(kwargs or {}))
        kind, given, output = next(self._left, ("nothing", np.empty(0), np.empty(0)))
        if kind not in kinds or given.shape != args[0].shape:
            raise VerificationFailed(f"decides by {kind} where PyTorch decides by {kinds[0]}", where=self._name)
        self._errors.append(_error(args[0], given, self._name))
        decided = torch.from_numpy(output)
        if not torch.equal(function(torch.from_numpy(given), *args[1:], **(kwargs or {})), decided):
            raise VerificationFailed(f"{kind} has another result than in PyTorch for the same values", where=self._name)
        return decided

    def finished(self) -> list[float]:
        """Errors of the values decided on. Raises VerificationFailed if the graph decided more often than PyTorch."""
        if next(self._left, None) is not None:
            raise VerificationFailed("decides more often than PyTorch", where=self._name)
        return self._errors


def _error(expected: Tensor, actual: Array, name: str) -> float:
    """Largest difference, absolute up to 1 and relative to the largest expected value beyond.

    Raises VerificationFailed for infinities and NaN, which comparisons would not find.
    """
    reference = expected.numpy()
    if not (np.isfinite(reference).all() and np.isfinite(actual).all()):
        raise VerificationFailed("gives infinities or NaN", where=name, hint="look at the weights")
    return float(np.abs(reference - actual).max() / max(1.0, np.abs(reference).max()))
