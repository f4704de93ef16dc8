"""Eight bits go where they do no harm, and a graph with them computes what its integers say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from edgecodec_engines.onnxruntime import import_runtime
from edgecodec_export.graphs.receptive_field import Grid
from edgecodec_export.precisions.quantised_graph import quantised
from edgecodec_export.precisions.trunk import trunk
from support.paths import TINY

onnxruntime = import_runtime()


def _convolution(name: str, given: str, weights: np.ndarray) -> tuple[onnx.NodeProto, list[onnx.TensorProto]]:
    kernel = numpy_helper.from_array(weights, f"{name}_weight")
    bias = numpy_helper.from_array(np.linspace(-1, 1, weights.shape[0]).astype(weights.dtype), f"{name}_bias")
    pads = [weights.shape[2] // 2] * 4
    node = helper.make_node("Conv", [given, kernel.name, bias.name], [name], name=name, pads=pads)
    return node, [kernel, bias]


def _graph(
    nodes: list[onnx.NodeProto],
    tensors: list[onnx.TensorProto],
    inputs: Mapping[str, Any],
    output: str,
    element: int = TensorProto.FLOAT,
) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info(name, element, shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info(output, element, [1, None, None, None])],
        tensors,
    )
    return helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 18)])


def _weights(seed: int, outputs: int, inputs: int, kernel: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.2, (outputs, inputs, kernel, kernel)).astype(np.float32)


def _run(graph: onnx.ModelProto, **inputs: np.ndarray) -> np.ndarray:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(graph.SerializeToString(), options, providers=["CPUExecutionProvider"])
    (output,) = session.run(None, inputs)
    return np.asarray(output)


def _decoder() -> onnx.ModelProto:
    """first: sees the latent. one, two: the trunk. head: in front of a rearrangement. The rest is at other strides."""
    parts = [
        _convolution("first", "y", _weights(1, 6, 4)),
        _convolution("one", "first", _weights(2, 6, 6)),
        _convolution("two", "one", _weights(3, 6, 6, 1)),
        _convolution("head", "two", _weights(4, 24, 6)),
        _convolution("larger", "shuffled", _weights(5, 3, 6)),
    ]
    nodes = [node for node, _ in parts]
    nodes.insert(4, helper.make_node("LeakyRelu", ["head"], ["rectified"]))
    nodes.insert(5, helper.make_node("DepthToSpace", ["rectified"], ["shuffled"], blocksize=2))
    return _graph(nodes, [tensor for _, tensors in parts for tensor in tensors], {"y": [1, 4, "h", "w"]}, "larger")


def test_the_trunk_lies_between_the_first_convolution_and_the_upsampling() -> None:
    assert trunk(_decoder(), {"y": Grid(16, (2, 3))}, TensorProto.FLOAT) == ["one", "two"]


def test_convolutions_at_another_stride_are_no_trunk() -> None:
    assert trunk(_decoder(), {"y": Grid(8, (2, 3))}, TensorProto.FLOAT) == []


def test_convolutions_of_another_type_are_no_trunk() -> None:
    assert trunk(_decoder(), {"y": Grid(16, (2, 3))}, TensorProto.FLOAT16) == []


def test_a_convolution_that_lacks_an_input_does_not_begin_the_trunk() -> None:
    """As the mean network of a hyperprior, which sees the hyperlatent alone."""
    parts = [
        _convolution("mean", "z", _weights(1, 4, 4)),
        _convolution("first", "sum", _weights(2, 6, 4)),
        _convolution("second", "first", _weights(3, 6, 6)),
        _convolution("third", "second", _weights(4, 6, 6)),
        _convolution("last", "enlarged", _weights(5, 3, 6)),
    ]
    nodes = [node for node, _ in parts]
    nodes.insert(1, helper.make_node("Add", ["mean", "r"], ["sum"]))
    nodes.insert(5, helper.make_node("DepthToSpace", ["third"], ["enlarged"], blocksize=1))
    inputs = {"z": [1, 4, "h", "w"], "r": [1, 4, "h", "w"]}
    graph = _graph(nodes, [tensor for _, tensors in parts for tensor in tensors], inputs, "last")
    assert trunk(graph, dict.fromkeys(inputs, Grid(16, (2, 3))), TensorProto.FLOAT) == ["second"]


def test_the_trunk_of_a_trained_generator_is_its_residual_blocks() -> None:
    graph = onnx.load(TINY / "synthesis-alpha1.onnx")
    found = trunk(graph, {"z": Grid(64, (2, 3)), "r": Grid(16, (2, 3))}, TensorProto.FLOAT)
    kernels = {tensor.name: tuple(tensor.dims) for tensor in graph.graph.initializer}
    wide = [node for node in graph.graph.node if node.op_type == "Conv" and kernels[node.input[1]] == (16, 16, 3, 3)]
    assert len(wide) >= 2
    assert {node.output[0] for node in wide} <= set(found)
    transposed = [node.output[0] for node in graph.graph.node if node.op_type == "ConvTranspose"]
    last = [node.output[0] for node in graph.graph.node if node.op_type == "Conv"][-1]
    assert not {*transposed, last} & set(found)


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 1000), channels=st.integers(1, 9), scale=st.sampled_from([1e-6, 0.01, 1.0, 300.0]))
def test_a_quantised_convolution_is_one_of_integers(seed: int, channels: int, scale: float) -> None:
    """Against integers that are made and convolved here, in float64."""
    random = np.random.default_rng(seed)
    weights = (_weights(seed, channels, 3) * scale).astype(np.float32)
    node, tensors = _convolution("out", "x", weights)
    graph = _graph([node], tensors, {"x": [1, 3, "h", "w"]}, "out")
    x = random.normal(0, 20, (1, 3, 7, 6)).astype(np.float32)
    largest = float(np.abs(x).max()) * 0.8  # some values lie beyond the range, and are cut off

    result = _run(quantised(graph, ["out"], {"x": largest}), x=x)

    step = np.float32(max(largest / 127, 2.0**-14))
    steps = np.maximum(np.abs(weights).max(axis=(1, 2, 3)) / 127, 2.0**-14).astype(np.float32)
    inputs = np.rint(x / step).clip(-128, 127)
    kernels = np.rint(weights / steps[:, None, None, None]).clip(-127, 127)
    products = F.conv2d(torch.from_numpy(inputs).double(), torch.from_numpy(kernels).double(), padding=1).numpy()
    bias = numpy_helper.to_array(tensors[1])[:, None, None]
    expected = products * float(step) * steps.astype(np.float64)[:, None, None] + bias
    np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-4 * max(1, scale))


def test_only_the_named_convolutions_are_quantised() -> None:
    graph = _decoder()
    result = quantised(graph, ["one", "two"], {"first": 3.0, "one": 2.0})
    onnx.checker.check_model(result, full_check=True)
    kinds = [node.op_type for node in result.graph.node]
    assert (kinds.count("QuantizeLinear"), kinds.count("DequantizeLinear")) == (2, 4)
    stored = {tensor.name: tensor for tensor in result.graph.initializer}
    assert [name for name, each in stored.items() if each.data_type == TensorProto.INT8 and each.dims] == [
        "one_weight_int8",
        "two_weight_int8",
    ]
    assert "one_weight" not in stored
    assert (result.opset_import[0].version, result.ir_version) == (19, 9)


def test_integers_are_symmetric_and_biases_are_floats() -> None:
    """Otherwise TensorRT refuses the graph."""
    result = quantised(_decoder(), ["one", "two"], {"first": 3.0, "one": 2.0})
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in result.graph.initializer}
    for node in result.graph.node:
        if node.op_type == "QuantizeLinear":
            assert stored[node.input[2]] == 0 and stored[node.input[2]].dtype == np.int8
        if node.op_type == "Conv":
            assert stored[node.input[2]].dtype == np.float32
    assert min(values.min() for values in stored.values() if values.dtype == np.int8) >= -127


def test_a_tensor_that_two_convolutions_take_is_quantised_once() -> None:
    parts = [_convolution("left", "x", _weights(1, 4, 4)), _convolution("right", "x", _weights(2, 4, 4))]
    total = helper.make_node("Add", ["left", "right"], ["sum"])
    graph = _graph(
        [*(node for node, _ in parts), total],
        [each for _, tensors in parts for each in tensors],
        {"x": [1, 4, 8, 8]},
        "sum",
    )
    kinds = [node.op_type for node in quantised(graph, ["left", "right"], {"x": 1.0}).graph.node]
    assert kinds.count("QuantizeLinear") == 1


def test_weights_that_another_convolution_takes_too_stay() -> None:
    node, tensors = _convolution("one", "x", _weights(1, 4, 4))
    again = helper.make_node("Conv", ["one", *node.input[1:]], ["two"], pads=[1] * 4)
    result = quantised(_graph([node, again], tensors, {"x": [1, 4, 8, 8]}, "two"), ["one"], {"x": 1.0})
    onnx.checker.check_model(result, full_check=True)
    assert "one_weight" in {tensor.name for tensor in result.graph.initializer}


def test_scales_are_of_the_type_that_convolutions_compute_in() -> None:
    half = _weights(1, 4, 4).astype(np.float16)
    node, tensors = _convolution("one", "x", half)
    graph = _graph([node], tensors, {"x": [1, 4, 8, 8]}, "one", TensorProto.FLOAT16)
    result = quantised(graph, ["one"], {"x": 3.0})
    onnx.checker.check_model(result, full_check=True)
    scales = [tensor for tensor in result.graph.initializer if tensor.name.endswith("_scale")]
    assert {tensor.data_type for tensor in scales} == {TensorProto.FLOAT16}


def test_a_range_that_is_missing_is_no_silent_default() -> None:
    with pytest.raises(KeyError):
        quantised(_decoder(), ["one"], {})


def test_the_same_graph_gives_the_same_bytes() -> None:
    first, second = (quantised(_decoder(), ["one", "two"], {"first": 3.0, "one": 2.0}) for _ in range(2))
    assert first.SerializeToString(deterministic=True) == second.SerializeToString(deterministic=True)
