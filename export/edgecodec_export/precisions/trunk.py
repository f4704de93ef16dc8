"""The trunk of a synthesis graph: the convolutions that take eight bits without harm to the picture.

They work at the stride of the latents, behind the first convolution that has seen all of them and before anything that
makes maps larger. The others do not take eight bits: a latent's values are mostly small and rarely large, so that one
scale for all of them drowns the small ones; and what lies behind the trunk shows in pixels.
"""

from __future__ import annotations

from collections.abc import Mapping

import onnx

from edgecodec_export.graphs.receptive_field import Grid, shapes_at
from edgecodec_export.graphs.shapes import GraphShapes, attributes

STRIDE = 16  # pixels
_SIDE = 1024  # of the picture at which maps are measured; a multiple of every alignment
_UPSAMPLING = ("ConvTranspose", "DepthToSpace", "Resize")


def trunk(graph: onnx.ModelProto, inputs: Mapping[str, Grid], element: int) -> list[str]:
    """The names of the outputs of the trunk's convolutions, in the order they run; empty where there is no trunk.

    inputs: the maps among the graph's inputs. element: ONNX's type of what learned convolutions compute in; those of
    normalisations compute in another.
    """
    shapes = shapes_at(graph, inputs, _SIDE, _SIDE)
    behind_first = _behind_first_convolution(shapes, element)
    heads = _feeding_heads(shapes)
    return [
        node.output[0]
        for node in shapes.nodes
        if node.op_type == "Conv"
        and shapes.types[node.input[0]] == element
        and node.input[0] in behind_first
        and node.output[0] not in heads
        and _keeps_stride(shapes, node)
    ]


def _behind_first_convolution(shapes: GraphShapes, element: int) -> set[str]:
    """Tensors that depend on the output of a convolution which depends on all inputs."""
    everything = frozenset(shapes.inputs)
    seen = {name: frozenset((name,)) for name in shapes.inputs}
    behind: set[str] = set()
    for node in shapes.nodes:
        sees = frozenset[str]().union(*(seen.get(name, frozenset()) for name in node.input))
        is_first = node.op_type == "Conv" and sees == everything and shapes.types[node.input[0]] == element
        for name in node.output:
            seen[name] = sees
            if is_first or any(each in behind for each in node.input):
                behind.add(name)
    return behind


def _feeding_heads(shapes: GraphShapes) -> set[str]:
    """Tensors that reach an output or a rearrangement into larger maps without another convolution between."""
    heads = set(shapes.outputs)
    for node in reversed(shapes.nodes):
        enlarges = node.op_type in _UPSAMPLING and node.op_type != "ConvTranspose"
        passes_on = node.op_type not in ("Conv", "ConvTranspose") and any(name in heads for name in node.output)
        if enlarges or passes_on:
            heads.update(node.input)
    return heads


def _keeps_stride(shapes: GraphShapes, node: onnx.NodeProto) -> bool:
    """Whether a convolution takes and gives maps of the trunk's stride; its input may be padded already."""
    side = _SIDE // STRIDE
    own_stride = attributes(node).get("strides", [1, 1])
    return list(shapes.shapes[node.output[0]][2:]) == [side, side] and list(own_stride) == [1, 1]
