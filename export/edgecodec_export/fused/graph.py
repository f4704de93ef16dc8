"""One decoder of a bundle as a fused graph: the operator of libedgecodec, the network, the crop.

    "file" uint8 (bytes)  ->  "image" uint8 (height, width, 3)

The operator is described in native/include/edgecodec/edgecodec.h. The network is the bundle's graph as it is, so that
pixels are those of the runtime. A grey picture has three equal channels, (R + G + B + 1) div 3 of what the network
gives.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edgecodec.bundle import Bundle
from edgecodec.description import BakedGraph
from edgecodec.knobs import QUALITY, describe

FILE, IMAGE = "file", "image"
DOMAIN, OPERATOR = "edgecodec", "Decode"
QUALITY_STEPS = 64  # to a level, as coded pictures hold it

#: Begins the names of everything that is the network's, so that none is also one of ours.
_NETWORK = "network/"
_SIZE, _GREYSCALE, _CROPPED = "size", "greyscale", "cropped"
_CORNER, _SIDES, _CHANNELS, _ONE, _THREE = "corner", "sides", "channels", "one", "three"


@dataclass(frozen=True)
class Fused:
    """weights: contents of the files that the model takes weights from, by its names for them."""

    model: onnx.ModelProto
    weights: Mapping[str, memoryview]


def fuse(bundle: Bundle, number: int, max_pixels: int) -> Fused:
    """The decoder of this number among the graphs of the bundle.

    max_pixels: of a picture, width times height; the graph refuses larger ones. Raises BundleChanged, LimitExceeded,
    BadModel.
    """
    baked = bundle.info.graphs[number]
    contents = bundle.graph(number)
    model = onnx.load_from_string(contents.data)
    graph = model.graph  # changed in place, because weights are large
    _begin_names(graph)
    network = list(graph.node)
    del graph.node[:]
    graph.node.append(_decode(bundle, baked, max_pixels))
    graph.node.extend(network)
    graph.node.append(
        helper.make_node("Slice", [_NETWORK + baked.outputs[0].name, _CORNER, _SIZE, _SIDES], [_CROPPED], "crop")
    )
    graph.node.append(
        helper.make_node("If", [_GREYSCALE], [IMAGE], "grey", then_branch=_mean(), else_branch=_as_it_is())
    )
    graph.initializer.extend(_constants())
    graph.value_info.extend(graph.input)  # engines optimise less where they do not know the shapes
    del graph.input[:], graph.output[:]
    graph.input.append(helper.make_tensor_value_info(FILE, TensorProto.UINT8, ["bytes"]))
    graph.output.append(_pixels(IMAGE))
    model.opset_import.append(helper.make_opsetid(DOMAIN, 1))
    model.doc_string = f"Decodes files of model {bundle.info.models[baked.model].id}, {describe(baked.knobs)}."
    return Fused(model, contents.weights)


def _decode(bundle: Bundle, baked: BakedGraph, max_pixels: int) -> onnx.NodeProto:
    """The operator, whose last outputs are what the network takes."""
    model = bundle.info.models[baked.model]
    entropy = np.frombuffer(bundle.read(model.entropy), np.uint8)
    settings: dict[str, Any] = {"model": numpy_helper.from_array(entropy, "entropy"), "max_pixels": max_pixels}
    if QUALITY in baked.knobs:
        settings["quality"] = round(baked.knobs[QUALITY] * QUALITY_STEPS)
    latents = {port.of: port.name for port in baked.inputs if port.role == "latent"}
    inputs = [latents[latent.name] for latent in model.decoder_latents]
    noise = [port.name for port in baked.inputs if port.role == "noise"]
    if noise and model.noise is not None:
        settings.update(noise_channels=model.noise.channels, noise_stride=model.noise.stride)
    outputs = [_SIZE, _GREYSCALE, *(_NETWORK + name for name in (*inputs, *noise))]
    return helper.make_node(OPERATOR, [FILE], outputs, "decode", domain=DOMAIN, **settings)


def _mean() -> onnx.GraphProto:
    """The branch for grey pictures."""
    nodes = [
        helper.make_node("Cast", [_CROPPED], ["levels"], to=TensorProto.INT32),
        helper.make_node("ReduceSum", ["levels", _CHANNELS], ["sum"], keepdims=1),
        helper.make_node("Add", ["sum", _ONE], ["rounded"]),
        helper.make_node("Div", ["rounded", _THREE], ["mean"]),
        helper.make_node("Cast", ["mean"], ["grey"], to=TensorProto.UINT8),
        helper.make_node("Concat", ["grey", "grey", "grey"], ["three equal"], axis=2),
    ]
    return helper.make_graph(nodes, "mean", [], [_pixels("three equal")])


def _as_it_is() -> onnx.GraphProto:
    """The branch for pictures in colour."""
    nodes = [helper.make_node("Identity", [_CROPPED], ["colour"])]
    return helper.make_graph(nodes, "colour", [], [_pixels("colour")])


def _pixels(name: str) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.UINT8, ["height", "width", 3])


def _constants() -> list[TensorProto]:
    return [
        helper.make_tensor(_CORNER, TensorProto.INT64, [2], [0, 0]),
        helper.make_tensor(_SIDES, TensorProto.INT64, [2], [0, 1]),
        helper.make_tensor(_CHANNELS, TensorProto.INT64, [1], [2]),
        helper.make_tensor(_ONE, TensorProto.INT32, [], [1]),
        helper.make_tensor(_THREE, TensorProto.INT32, [], [3]),
    ]


def _begin_names(graph: onnx.GraphProto) -> None:
    """Begin every name in a graph, and in the graphs inside it, with that of the network: values, symbols, nodes."""
    for node in graph.node:
        node.name = _begun(node.name)
        for names in (node.input, node.output):
            names[:] = [_begun(name) for name in names]
        for attribute in node.attribute:
            for inner in [attribute.g] if attribute.HasField("g") else attribute.graphs:
                _begin_names(inner)
    for value in (*graph.input, *graph.output, *graph.value_info):
        value.name = _begun(value.name)
        for dimension in value.type.tensor_type.shape.dim:
            if dimension.HasField("dim_param"):
                dimension.dim_param = _begun(dimension.dim_param)
    for tensor in (*graph.initializer, *(sparse.values for sparse in graph.sparse_initializer)):
        tensor.name = _begun(tensor.name)


def _begun(name: str) -> str:
    """Nothing, which stands for an input that is left out, stays nothing."""
    return name and _NETWORK + name
