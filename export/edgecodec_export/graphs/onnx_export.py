"""The float half of a codec as ONNX graphs: pictures to integer latents, and integer latents to pictures.

    analysis:   "image" uint8 (H, W, 3), sides multiples of the alignment  ->  latents float32 (1, C, h, w), integers
    synthesis:  latents float32 (1, C, h, w) holding integers              ->  "image" uint8 (H, W, 3)

An analysis graph also takes "size" int64 (2), the height and width of the picture before padding, if the family pads
with mid-grey; and one float32 () for each knob that is not baked. A synthesis graph also takes "noise" if the family
uses noise.

Bytes are rounded half to even, latents by the family's own rule. Opset 18 with IR version 8, and for graphs of integers
opset 19 with IR version 9, load in every ONNX Runtime from 1.17 on and in every TensorRT from 10 on. Exporting the same
weights again gives the same bytes.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import onnx
import onnxscript.optimizer
import torch
from onnxscript import ir
from torch import Tensor, nn
from torch.export import Dim

from edgecodec.description import LatentSpec
from edgecodec_export.baking import Point
from edgecodec_export.families.codec import LearnedCodec
from edgecodec_export.graphs.weights import store_weights, weight_bytes
from edgecodec_export.precisions.precision import Finish

OPSET = 18
IR_VERSION = 8
LARGEST_PICTURE = 65536  # pixels a side
LARGEST_FILE = 64 << 20  # bytes of weights inside a graph's own file; what is in files of their own can be mapped

#: Names of inputs and outputs that are not latents.
IMAGE, SIZE = "image", "size"

Shape = tuple[int | str, ...]


class AnalysisModule(nn.Module):
    """What an analysis graph computes: an encoder behind the conversion from bytes."""

    def __init__(self, encoder: nn.Module, takes_size: bool) -> None:
        super().__init__()
        self.encoder, self.takes_size = encoder, takes_size

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        image, *others = inputs
        pixels = image.to(torch.float32).permute(2, 0, 1).unsqueeze(0) / 255
        if self.takes_size:
            size, *others = others
            pixels = torch.where(_inside(image, size), pixels, 0.5)
        return self.encoder(pixels, *others)


def _inside(image: Tensor, size: Tensor) -> Tensor:
    """(H, W) bool: whether a pixel lies in the top left size[0] rows and size[1] columns."""
    height, width = image.shape[:2]
    return (torch.arange(height) < size[0]).unsqueeze(1) & (torch.arange(width) < size[1])


class SynthesisModule(nn.Module):
    """What a synthesis graph computes: a decoder and the conversion to bytes."""

    def __init__(self, decoder: nn.Module) -> None:
        super().__init__()
        self.decoder = decoder

    def forward(self, *latents: Tensor) -> Tensor:
        levels = (self.decoder(*latents) * 255).round().clamp(0, 255)
        return levels.permute(0, 2, 3, 1).squeeze(0).to(torch.uint8)


def takes_size(model: LearnedCodec) -> bool:
    """Whether the analysis graph takes the picture's size, to replace the padding with grey."""
    return model.PADDING == "grey"


def synthesis_inputs(model: LearnedCodec) -> tuple[LatentSpec, ...]:
    """The inputs of the synthesis graph in order: the decoder latents, and noise if the model takes any."""
    noise = model.noise()
    return (*model.decoder_latents(), *([noise] if noise else []))


def export_analysis(model: LearnedCodec, point: Point, path: Path, *, share_weights: bool = False) -> onnx.ModelProto:
    """Write the analysis graph of `point`, one of `model`'s encoders, to `path`. Returns the graph as written.

    share_weights: store large weights in files beside it, which is done in any case if they exceed LARGEST_FILE.
    """
    rows, columns = _grid_dimensions(model, model.ALIGNMENT)
    image = torch.zeros(3 * model.ALIGNMENT, 4 * model.ALIGNMENT, 3, dtype=torch.uint8)
    arguments = [image]
    inputs: dict[str, Shape] = {IMAGE: ("height", "width", 3)}
    if takes_size(model):
        arguments.append(torch.tensor(image.shape[:2]))
        inputs[SIZE] = (2,)
    for name, scalar in point.scalars.items():
        arguments.append(torch.tensor(scalar.default))
        inputs[name] = ()
    sides = {0: model.ALIGNMENT * rows, 1: model.ALIGNMENT * columns}
    shapes = ((sides, *({} for _ in arguments[1:])),)
    outputs = _latent_shapes(model, model.encoder_latents())
    graph = AnalysisModule(point.module, takes_size(model))
    return _export(graph, arguments, shapes, inputs, outputs, path, share_weights)


def export_synthesis(
    model: LearnedCodec, point: Point, path: Path, *, share_weights: bool = False, finish: Finish | None = None
) -> onnx.ModelProto:
    """Write the synthesis graph of `point`, one of `model`'s decoders, to `path`. Otherwise as `export_analysis`.

    finish: makes the graph that is written of the exported one, which has its weights in it.
    """
    alignment = model.latent_alignment()
    rows, columns = _grid_dimensions(model, alignment)
    latents = synthesis_inputs(model)
    ratios = [alignment // latent.stride for latent in latents]
    arguments = [
        torch.zeros(1, latent.channels, 3 * ratio, 4 * ratio) for latent, ratio in zip(latents, ratios, strict=True)
    ]
    shapes = (tuple({2: ratio * rows, 3: ratio * columns} for ratio in ratios),)
    inputs = _latent_shapes(model, latents)
    graph = SynthesisModule(point.module)
    return _export(graph, arguments, shapes, inputs, {IMAGE: (*_sides(model, 1), 3)}, path, share_weights, finish)


def _grid_dimensions(model: LearnedCodec, alignment: int) -> tuple[Dim, Dim]:
    least, largest = -(-model.SMALLEST_SIDE // alignment), LARGEST_PICTURE // alignment
    return Dim("rows", min=least, max=largest), Dim("columns", min=least, max=largest)


def _latent_shapes(model: LearnedCodec, latents: Sequence[LatentSpec]) -> dict[str, Shape]:
    return {latent.name: (1, latent.channels, *_sides(model, latent.stride)) for latent in latents}


def _sides(model: LearnedCodec, stride: int) -> tuple[str, str]:
    """Symbolic height and width of a latent, as functions of those of the analysis graph's image."""
    alignment = model.latent_alignment()
    ratio = alignment // stride
    if alignment == model.ALIGNMENT:
        pattern = f"{{}}/{stride}" if stride > 1 else "{}"
    else:
        pattern = f"{ratio}*ceil({{}}/{alignment})" if ratio > 1 else f"ceil({{}}/{alignment})"
    return pattern.format("height"), pattern.format("width")


def _export(
    module: nn.Module,
    arguments: Sequence[Tensor],
    dynamic_shapes: tuple[Any, ...],
    inputs: dict[str, Shape],
    outputs: dict[str, Shape],
    path: Path,
    share_weights: bool,
    finish: Finish | None = None,
) -> onnx.ModelProto:
    with quiet_exporter():
        program = torch.onnx.export(
            module.eval(),
            tuple(arguments),
            dynamo=True,
            opset_version=OPSET,
            dynamic_shapes=dynamic_shapes,
            input_names=list(inputs),
            output_names=list(outputs),
            verbose=False,
        )
    assert program is not None
    # Engines optimise convolutions only if their weights are plain constants, so constants are folded at any size.
    onnxscript.optimizer.fold_constants(program.model, input_size_limit=1 << 31, output_size_limit=1 << 31)
    onnxscript.optimizer.remove_unused_nodes(program.model)
    exported, versions = program.model, (OPSET, IR_VERSION)
    if finish is not None:
        finished = finish(_bare(ir.to_proto(exported), inputs | outputs, *versions))
        versions = (finished.opset_import[0].version, finished.ir_version)
        exported = ir.from_proto(finished)
    if share_weights or weight_bytes(exported) > LARGEST_FILE:
        store_weights(exported, path.parent)
    graph = _bare(ir.to_proto(exported), inputs | outputs, *versions)
    path.write_bytes(graph.SerializeToString(deterministic=True))
    onnx.checker.check_model(path)
    return graph


@contextmanager
def quiet_exporter() -> Iterator[None]:
    """Silence the exporter's warnings about its own deprecations and optional packages."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _bare(exported: onnx.ModelProto, shapes: dict[str, Shape], opset: int, ir_version: int) -> onnx.ModelProto:
    """The graph without names and paths of the exporting machine or run, and with symbolic sizes from `shapes`."""
    graph = exported.graph
    for node in graph.node:
        node.ClearField("doc_string")
        node.ClearField("metadata_props")
    for value in (*graph.input, *graph.output):
        _set_shape(value, shapes[value.name])
    for tensor in graph.initializer:
        tensor.ClearField("doc_string")
        tensor.ClearField("metadata_props")
    bare = onnx.helper.make_graph(
        graph.node, "edgecodec", graph.input, graph.output, sorted(graph.initializer, key=lambda tensor: tensor.name)
    )
    return onnx.helper.make_model(
        bare, ir_version=ir_version, opset_imports=[onnx.helper.make_opsetid("", opset)], producer_name="edgecodec"
    )


def _set_shape(value: onnx.ValueInfoProto, shape: Shape) -> None:
    value.ClearField("metadata_props")
    dimensions = value.type.tensor_type.shape
    dimensions.ClearField("dim")
    for size in shape:
        dimension = dimensions.dim.add()
        if isinstance(size, str):
            dimension.dim_param = size
        else:
            dimension.dim_value = size
