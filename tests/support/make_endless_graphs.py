"""Writes tests/data/endless: graphs with the ports of the tiny bundle's decoder that never come to an end.

loop: a Loop of 2^62 rounds, whose body ends all the time. node: one node that works for hours. constant: the same over
constants, which ONNX Runtime computes while it makes the session. chain: many nodes that work for a moment each.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper

from support.paths import ENDLESS

_SIDE, _WINDOW = 2047, 1023  # pixels; each of 4 million outputs is the largest of a million inputs
_LINKS, _LINK_SIDE, _LINK_WINDOW = 400, 255, 63
_CHANNELS = 8  # of each of the tiny bundle's latents

_CONSTANTS = {
    "shape": np.array([1, 1, 3], np.int64),
    "size": np.array([1, 1, _SIDE, _SIDE], np.int64),
    "small": np.array([1, 1, _LINK_SIDE, _LINK_SIDE], np.int64),
    "rounds": np.array(2**62, np.int64),
    "go on": np.array(True),
    "one": np.ones(1, np.float32),
}


def loop() -> list[NodeProto]:
    flag: tuple[int, list[int]] = (TensorProto.BOOL, [])
    value: tuple[int, list[int]] = (TensorProto.FLOAT, [1])
    ports = {"round": (TensorProto.INT64, []), "flag": flag, "value": value, "next flag": flag, "next value": value}
    infos = {name: helper.make_tensor_value_info(name, *port) for name, port in ports.items()}
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["flag"], ["next flag"]),
            helper.make_node("Add", ["value", "value"], ["next value"]),
        ],
        "body",
        [infos["round"], infos["flag"], infos["value"]],
        [infos["next flag"], infos["next value"]],
    )
    return [helper.make_node("Loop", ["rounds", "go on", "one"], ["result"], body=body)]


def node() -> list[NodeProto]:
    return [helper.make_node("Expand", ["sum of z", "size"], ["map"]), *_largest_of_windows()]


def constant() -> list[NodeProto]:
    return [helper.make_node("ConstantOfShape", ["size"], ["map"]), *_largest_of_windows()]


def chain() -> list[NodeProto]:
    names = [f"map {i}" for i in range(_LINKS + 1)]
    pools = [
        helper.make_node("MaxPool", [before], [after], kernel_shape=[_LINK_WINDOW] * 2, pads=[_LINK_WINDOW // 2] * 4)
        for before, after in pairwise(names)
    ]
    return [
        helper.make_node("Expand", ["sum of z", "small"], names[:1]),
        *pools,
        helper.make_node("ReduceMax", names[-1:], ["result"], keepdims=0),
    ]


def _largest_of_windows() -> list[NodeProto]:
    return [
        helper.make_node("MaxPool", ["map"], ["pooled"], kernel_shape=[_WINDOW] * 2, pads=[_WINDOW // 2] * 4),
        helper.make_node("ReduceMax", ["pooled"], ["result"], keepdims=0),
    ]


def write(path: Path, nodes: Iterable[NodeProto]) -> None:
    latents = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, _CHANNELS, f"{name} rows", f"{name} columns"])
        for name in ("z", "r")
    ]
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["rows", "columns", 3])
    ends = [
        helper.make_node("Cast", ["result"], ["byte"], to=TensorProto.UINT8),
        helper.make_node("Expand", ["byte", "shape"], ["image"]),
    ]
    sums = [helper.make_node("ReduceSum", [name], [f"sum of {name}"], keepdims=0) for name in ("z", "r")]
    whole = [*sums, *nodes, *ends]
    used = {name for each in whole for name in each.input}
    constants = [numpy_helper.from_array(value, name) for name, value in _CONSTANTS.items() if name in used]
    graph = helper.make_graph(whole, path.stem, latents, [image], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, path)


if __name__ == "__main__":
    for make in (loop, node, constant, chain):
        write(ENDLESS / f"{make.__name__}.onnx", make())
