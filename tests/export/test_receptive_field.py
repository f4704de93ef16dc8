"""Halos against measured receptive fields, and activation memory against sums by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from edgecodec_export.graphs.activation_memory import largest_live_bytes
from edgecodec_export.graphs.receptive_field import Grid, NotTileableError, halo, shapes_at
from support.blurred_codec import HALO, REACH
from support.make_bundles import Nodes, image_port

UNIT = 8  # positions of the finest map
SEEN_UNITS = 14

Layer = tuple[str, dict[str, Any]]


def _square(operator: str, kernel: int, stride: int, before: int, after: int, **options: Any) -> Layer:
    return operator, {"kernel": kernel, "strides": [stride] * 2, "pads": [before] * 2 + [after] * 2, **options}


KEEPING: list[Layer] = [
    _square("Conv", 1, 1, 0, 0),
    _square("Conv", 3, 1, 1, 1),
    _square("Conv", 5, 1, 2, 2),
    _square("Conv", 3, 1, 2, 2, dilations=[2, 2]),
    ("Pad", {"before": 3, "after": 3, "then": _square("Conv", 7, 1, 0, 0)}),
]
HALVING: list[Layer] = [
    _square("Conv", 5, 2, 2, 2),
    _square("Conv", 4, 2, 1, 1),
    _square("Conv", 3, 2, 0, 1),
    ("Pad", {"before": 1, "after": 0, "then": _square("Conv", 3, 2, 0, 0)}),
    ("AveragePool", {"kernel_shape": [2, 2], "strides": [2, 2]}),
]
DOUBLING: list[Layer] = [
    _square("ConvTranspose", 5, 2, 2, 2, output_padding=[1, 1]),
    _square("ConvTranspose", 4, 2, 1, 1),
    _square("ConvTranspose", 3, 2, 1, 1, output_padding=[1, 1]),
    ("DepthToSpace", {"blocksize": 2}),
]


def _grow(nodes: Nodes, name: str, layer: Layer, result: str | None = None) -> str:
    """All weights are 1, so that a 1 in the input is seen wherever it can be."""
    operator, options = layer
    if operator == "Pad":
        pads = nodes.constant([0, 0, *[options["before"]] * 2, 0, 0, *[options["after"]] * 2], np.int64)
        return _grow(nodes, nodes.add("Pad", name, pads, mode="reflect"), options["then"])
    if operator == "DepthToSpace":
        name = nodes.add("Conv", name, nodes.constant(np.ones((4, 1, 1, 1))))
    if "kernel" in options:
        rest = {key: value for key, value in options.items() if key != "kernel"}
        return nodes.add(operator, name, nodes.constant(np.ones((1, 1, options["kernel"], options["kernel"]))), **rest)
    return nodes.add(operator, name, **options)


def _graph(layers: list[Layer]) -> onnx.ModelProto:
    nodes = Nodes()
    name = "x"
    for layer in layers:
        name = _grow(nodes, name, layer)
    nodes.add("Identity", name, result="y")
    return nodes.model([_map("x")], [_map("y")])


def _map(name: str) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 1, f"{name}_rows", f"{name}_columns"])


def _seen(graph: onnx.ModelProto, input_unit: int, output_unit: int) -> tuple[int, int]:
    """Largest distance, back and ahead, at which a unit of the output is not 0 when one unit of the input is 1."""
    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    before, after = 0, 0
    for unit in range(SEEN_UNITS):
        x = np.zeros((1, 1, SEEN_UNITS * input_unit, 2 * input_unit), np.float32)
        x[:, :, unit * input_unit : (unit + 1) * input_unit] = 1
        (y,) = session.run(None, {"x": x})
        touched = np.flatnonzero(y.reshape(SEEN_UNITS, -1).any(1))
        before, after = max(before, touched.max() - unit), max(after, unit - touched.min())
    assert y.shape[2] == SEEN_UNITS * output_unit
    return before, after


@settings(max_examples=40)
@given(st.data())
def test_the_halo_is_exactly_what_impulses_show(data: st.DataObject) -> None:
    levels = data.draw(st.integers(0, 2))
    down = data.draw(st.booleans())
    layers = []
    for _ in range(levels):
        layers += [data.draw(st.sampled_from(HALVING if down else DOUBLING)), data.draw(st.sampled_from(KEEPING))]
    layers += data.draw(st.lists(st.sampled_from(KEEPING), min_size=1, max_size=2))
    graph = _graph(layers)
    coarse = UNIT >> levels
    ends = (UNIT, coarse) if down else (coarse, UNIT)
    grids = [{name: Grid(UNIT // end, (2, 3))} for name, end in zip("xy", ends, strict=True)]
    assert halo(graph, *grids, UNIT, UNIT) == _seen(graph, *ends)


def test_the_halo_of_one_convolution_follows_from_its_kernel() -> None:
    graph = _graph([_square("Conv", 2 * REACH + 1, 1, REACH, REACH)])
    grids = {"x": Grid(1, (2, 3))}, {"y": Grid(1, (2, 3))}
    assert halo(graph, *grids, 1, 1) == (REACH, REACH)
    assert halo(graph, *grids, 8, 8) == (HALO, HALO)
    assert halo(graph, *grids, REACH, REACH) == (1, 1)


def _refused(nodes: Nodes, inputs: list[onnx.ValueInfoProto] | None = None) -> str:
    graph = nodes.model(inputs or [_map("x")], [_map("y")])
    with pytest.raises(NotTileableError) as caught:
        halo(graph, {"x": Grid(1, (2, 3))}, {"y": Grid(1, (2, 3))}, 8, 8)
    return str(caught.value)


def test_graphs_with_statistics_of_whole_maps_are_not_tiled() -> None:
    nodes = Nodes()
    mean = nodes.add("ReduceMean", "x", nodes.constant([2, 3], np.int64))
    nodes.add("Sub", "x", mean, result="y")
    assert _refused(nodes) == "it takes statistics of whole maps (ReduceMean)"
    nodes = Nodes()
    nodes.add("InstanceNormalization", "x", nodes.constant([1]), nodes.constant([0]), result="y")
    assert _refused(nodes) == "it takes statistics of whole maps (InstanceNormalization)"


def test_statistics_over_channels_need_no_halo() -> None:
    nodes = Nodes()
    mean = nodes.add("ReduceMean", "x", nodes.constant([1], np.int64))
    nodes.add("Sub", "x", mean, result="y")
    graph = nodes.model([_map("x")], [_map("y")])
    assert halo(graph, {"x": Grid(1, (2, 3))}, {"y": Grid(1, (2, 3))}, 8, 8) == (0, 0)


def test_graphs_that_depend_on_the_position_are_not_tiled() -> None:
    nodes = Nodes()
    extent = nodes.add("Squeeze", nodes.add("Shape", "x", start=3, end=4), nodes.constant([0], np.int64))
    places = nodes.add("Range", nodes.constant(0, np.int64), extent, nodes.constant(1, np.int64))
    nodes.add("Add", "x", nodes.add("Cast", places, to=TensorProto.FLOAT), result="y")
    assert "depends on the position in the picture" in _refused(nodes)


def test_graphs_with_an_unknown_operator_are_not_tiled() -> None:
    nodes = Nodes()
    nodes.add("LpNormalization", "x", axis=2, result="y")
    assert _refused(nodes) == "the receptive field of LpNormalization is not known"


def test_memory_is_the_largest_sum_of_live_tensors() -> None:
    """Per pixel: 64 bytes for 16 channels, a quarter of that at half the sides, and there 4 for each of 9 columns."""
    nodes = Nodes()
    x = nodes.add("Cast", "image", to=TensorProto.FLOAT)
    x = nodes.add("Unsqueeze", nodes.add("Transpose", x, perm=[2, 0, 1]), nodes.constant([0], np.int64))
    x = nodes.add("Conv", x, nodes.constant(np.ones((16, 3, 2, 2))), strides=[2, 2])
    weights = nodes.constant(np.ones((16, 16, 3, 3)))
    x = nodes.add("ConvTranspose", x, weights, strides=[2, 2], pads=[1] * 4, output_padding=[1] * 2)
    nodes.add("Relu", x, result="y")
    grids = {"image": Grid(1, (0, 1))}
    graph = nodes.model([image_port("image")], [_map("y")])
    pixels = 64 * 96
    assert largest_live_bytes(shapes_at(graph, grids, 64, 96)) == pixels * (64 // 4 + 64 + 9 * 64 // 4)
