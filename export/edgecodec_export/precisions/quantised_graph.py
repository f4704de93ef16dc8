"""Convolutions of a graph in eight bits, as TensorRT reads them: pairs of QuantizeLinear and DequantizeLinear.

A pair behind the input and a DequantizeLinear behind the weights tell an engine that it may convolve integers. TensorRT
takes symmetric scales alone (zero points of 0), and biases in floats. The same graph, weights and ranges give the same
bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

OPSET = 19  # the first in which QuantizeLinear takes float16
IR_VERSION = 9
_LARGEST = 127  # on either side of zero
_SMALLEST_SCALE = 2.0**-14  # the least float16 of full precision
_ZERO = "int8_zero"

_Floats = npt.NDArray[np.floating]


def quantised(graph: onnx.ModelProto, convolutions: Iterable[str], ranges: Mapping[str, float]) -> onnx.ModelProto:
    """A copy of `graph` in which `convolutions`, named by their outputs, take integers of eight bits.

    graph: with its weights in it. ranges: the largest absolute value of each convolution's input, by the input's name.
    Scales are of the type that the convolution computes in: one for an input, one for each output channel of weights.
    """
    chosen = frozenset(convolutions)
    weights = {tensor.name: tensor for tensor in graph.graph.initializer}
    added = {_ZERO: numpy_helper.from_array(np.zeros((), np.int8), _ZERO)}
    replaced: set[str] = set()
    nodes: list[onnx.NodeProto] = []
    inputs_done: set[str] = set()
    for node in graph.graph.node:
        if node.output[0] not in chosen:
            nodes.append(node)
            continue
        given, kernel, *bias = node.input
        values = numpy_helper.to_array(weights[kernel])
        if given not in inputs_done:
            inputs_done.add(given)
            scale = _scale(np.asarray(ranges[given]), values.dtype)
            added[f"{given}_scale"] = numpy_helper.from_array(scale, f"{given}_scale")
            nodes += _pair(given)
        if kernel not in replaced:
            replaced.add(kernel)
            scales = _scale(np.abs(values.astype(np.float64)).max(axis=(1, 2, 3)), values.dtype)
            added[f"{kernel}_int8"] = numpy_helper.from_array(_rounded(values, scales), f"{kernel}_int8")
            added[f"{kernel}_scale"] = numpy_helper.from_array(scales, f"{kernel}_scale")
            nodes.append(
                helper.make_node(
                    "DequantizeLinear",
                    [f"{kernel}_int8", f"{kernel}_scale"],
                    [f"{kernel}_dequantised"],
                    name=f"{kernel}_dequantise",
                    axis=0,
                )
            )
        convolution = onnx.NodeProto()
        convolution.CopyFrom(node)
        convolution.input[:] = [f"{given}_dequantised", f"{kernel}_dequantised", *bias]
        nodes.append(convolution)
    used = {name for node in nodes for name in node.input}
    kept = [tensor for name, tensor in weights.items() if name in used]
    whole = helper.make_graph(
        nodes,
        graph.graph.name,
        graph.graph.input,
        graph.graph.output,
        sorted([*kept, *added.values()], key=lambda tensor: tensor.name),
    )
    return helper.make_model(
        whole,
        ir_version=IR_VERSION,
        opset_imports=[helper.make_opsetid("", OPSET)],
        producer_name=graph.producer_name,
    )


def _pair(given: str) -> list[onnx.NodeProto]:
    """What rounds the tensor `given` to integers, and back."""
    integers = f"{given}_int8"
    return [
        helper.make_node("QuantizeLinear", [given, f"{given}_scale", _ZERO], [integers], name=f"{given}_quantise"),
        helper.make_node(
            "DequantizeLinear",
            [integers, f"{given}_scale", _ZERO],
            [f"{given}_dequantised"],
            name=f"{given}_dequantise",
        ),
    ]


def _scale(largest: npt.NDArray[np.float64], dtype: npt.DTypeLike) -> _Floats:
    return np.maximum(largest / _LARGEST, _SMALLEST_SCALE).astype(dtype)


def _rounded(weights: _Floats, scales: _Floats) -> npt.NDArray[np.int8]:
    """Weights (outputs, inputs, rows, columns) in steps of their output's scale, as it is stored."""
    steps = weights.astype(np.float64) / scales.astype(np.float64)[:, None, None, None]
    return np.rint(steps).clip(-_LARGEST, _LARGEST).astype(np.int8)
