"""What a graph's activations take while it runs, from the shapes of its tensors."""

from __future__ import annotations

from math import prod

import onnx
from onnx import helper

from edgecodec_export.graphs.shapes import GraphShapes

_BLOCK = 16  # channels that engines lay side by side; they fill the last block up
_FLOAT = 4  # bytes


def largest_live_bytes(graph: GraphShapes) -> int:
    """Most bytes that are in use at a time, weights not among them.

    Tensors live from the node that makes them to the last that takes them; nothing is made in place. Beside them,
    whatever a node needs for itself: a copy of a map in the layout that convolutions like, or the columns of a
    transposed convolution, which are all products of its input with the kernel before they are summed.
    """
    last_use = {name: position for position, node in enumerate(graph.nodes) for name in node.input}
    last_use.update({name: len(graph.nodes) for name in graph.outputs})
    live = {name: _bytes(graph, name) for name in graph.inputs}
    largest = 0
    for position, node in enumerate(graph.nodes):
        live.update({name: _bytes(graph, name) for name in node.output if name and name not in graph.values})
        largest = max(largest, sum(live.values()) + _scratch(graph, node))
        for name in node.input:
            if name in live and last_use[name] == position:
                del live[name]
    return largest


def _bytes(graph: GraphShapes, name: str) -> int:
    return prod(graph.shapes[name]) * helper.tensor_dtype_to_np_dtype(graph.types[name]).itemsize


def _scratch(graph: GraphShapes, node: onnx.NodeProto) -> int:
    if node.op_type == "ConvTranspose":
        positions, weights = (graph.shapes[name] for name in node.input[:2])
        return prod(positions[2:]) * prod(weights[1:]) * _FLOAT
    shape = graph.shapes[node.output[0]]
    if len(shape) != 4:
        return 0
    channels = -(-shape[1] // _BLOCK) * _BLOCK
    return channels * prod(shape[2:]) * _FLOAT
