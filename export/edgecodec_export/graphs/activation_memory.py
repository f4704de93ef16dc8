"""Memory for a graph's activations, from the shapes of its tensors."""

from __future__ import annotations

from math import prod

import onnx
from onnx import helper

from edgecodec_export.graphs.shapes import GraphShapes

_BLOCK = 16  # channels that engines store together; the last block is padded
_FLOAT = 4  # bytes of a float32


def largest_live_bytes(graph: GraphShapes) -> int:
    """The largest number of bytes in use at any time, without weights.

    A tensor lives from the node that makes it to the last node that takes it; no node works in place. Added to the live
    tensors is the scratch memory of the running node: a copy of a map in the blocked layout of convolutions, or for a
    transposed convolution the products of its input with the kernel before they are summed.
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
