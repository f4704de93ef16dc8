"""Integers of eight bits in the trunk of a decoder, half precision in the rest: for TensorRT alone.

Scales are symmetric and fixed: those of weights by their largest value, for each output channel, and those of
activations by the largest on the calibration photographs. The graph is measured on the other photographs, as it is,
against the originals: nothing else tells whether the integers did harm.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto
from torch import nn

from edgecodec.errors import VerificationFailed
from edgecodec_engines.onnxruntime import import_runtime
from edgecodec_export.families.codec import LearnedCodec
from edgecodec_export.graphs.receptive_field import Grid
from edgecodec_export.precisions.half import Half
from edgecodec_export.precisions.precision import Decoder, Finish, Inputs
from edgecodec_export.precisions.quantised_graph import quantised
from edgecodec_export.precisions.trunk import trunk

onnxruntime = import_runtime()


class Int8(Half):
    """Q/DQ pairs around the convolutions of `trunk`."""

    name = "int8"
    SIDES = ("decode",)
    # An engine that rounds elsewhere may come to another integer. The shipped models are within 8 levels of fp32 and at
    # 49 dB or more; the bounds are several times as wide, and have not been tried on an engine that computes integers.
    LEVELS = 48
    LEAST_DB = 40.0
    LARGEST_MEAN_LOSS = 0.2
    LARGEST_LOSS = 0.3
    LARGEST_ERROR = LEVELS / 255

    def check(self, model: LearnedCodec) -> None:
        if not model.HAS_TRUNK:
            raise _no_trunk(model.FAMILY)

    def finish(self, maps: Mapping[str, Grid], samples: Callable[[], Sequence[Inputs]]) -> Finish:
        def finish(graph: onnx.ModelProto) -> onnx.ModelProto:
            convolutions = trunk(graph, maps, TensorProto.FLOAT16)
            if not convolutions:
                raise _no_trunk()
            inputs = {node.output[0]: node.input[0] for node in graph.graph.node}
            given = list(dict.fromkeys(inputs[name] for name in convolutions))
            return quantised(graph, convolutions, _ranges(graph, given, samples()))

        return finish

    def decoder(self, converted: nn.Module, path: Path) -> Decoder:
        in_halves, session = super().decoder(converted, path), _open(path)

        def decode(inputs: Inputs) -> npt.NDArray[np.uint8]:
            in_halves(inputs)  # which raises where a value leaves the range of the rest of the graph
            (image,) = session.run(None, dict(inputs))
            return image

        return decode


def _no_trunk(where: str | None = None) -> VerificationFailed:
    return VerificationFailed(
        "has no convolutions that may be of eight bits",
        where=where,
        hint="its convolutions lie beside what makes maps smaller or larger: export it without int8",
    )


def _ranges(graph: onnx.ModelProto, names: Sequence[str], samples: Sequence[Inputs]) -> dict[str, float]:
    """The largest absolute value of the tensors `names` over all samples."""
    watched = onnx.ModelProto()
    watched.CopyFrom(graph)
    watched.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    session = _open(watched.SerializeToString())
    largest = dict.fromkeys(names, 0.0)
    for sample in samples:
        for name, values in zip(names, session.run(list(names), dict(sample)), strict=True):
            largest[name] = max(largest[name], float(np.abs(values).max()))
    return largest


def _open(graph: Path | bytes) -> Any:
    """A session on one thread of the processor, so that the same graph gives the same values everywhere."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
