"""The float half of a codec as ONNX graphs: pictures to integer latents, and integer latents to pictures.

    analysis:   "image" uint8 (H, W, 3), sides multiples of the alignment  ->  "z", "r" float32 (1, C, h, w), rounded
    synthesis:  "z", "r" float32 (1, C, h, w) holding integers             ->  "image" uint8 (H, W, 3)

Rounding is half to even everywhere. Opset 18 with IR version 8 loads in every ONNX Runtime from 1.17 on and in every
TensorRT from 10 on. Exporting the same weights again gives the same bytes.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import onnx
import onnxscript.optimizer
import torch
from onnxscript import ir
from torch import Tensor, nn
from torch.export import Dim

from edgecodec.export.families.hyperprior import ALIGNMENT, HYPERLATENT_STRIDE, LATENT_STRIDE, ScaleHyperprior

OPSET = 18
IR_VERSION = 8
LARGEST_PICTURE = 65536  # pixels a side

Shape = tuple[int | str, ...]


class AnalysisGraph(nn.Module):
    """The encoder as it is exported."""

    def __init__(self, model: ScaleHyperprior) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        pixels = image.to(torch.float32).permute(2, 0, 1).unsqueeze(0) / 255
        z, r, _ = self.model.quantise(self.model.analysis(pixels))
        return z, r


class SynthesisGraph(nn.Module):
    """The decoder as it is exported, the mean network included."""

    def __init__(self, model: ScaleHyperprior) -> None:
        super().__init__()
        self.model = model

    def reconstruct(self, z: Tensor, r: Tensor) -> Tensor:
        """The picture before it becomes bytes: (1, 3, H, W) float32, about [0, 1]."""
        picture: Tensor = self.model.synthesis(self.model.rebuild(z, r))
        return picture

    def forward(self, z: Tensor, r: Tensor) -> Tensor:
        levels = (self.reconstruct(z, r) * 255).round().clamp(0, 255)
        return levels.permute(0, 2, 3, 1).squeeze(0).to(torch.uint8)


def export_analysis(model: ScaleHyperprior) -> onnx.ModelProto:
    """The analysis graph of `model`."""
    rows, columns = _grid_dimensions()
    image = torch.zeros(2 * ALIGNMENT, 3 * ALIGNMENT, 3, dtype=torch.uint8)
    shapes = ({0: ALIGNMENT * rows, 1: ALIGNMENT * columns},)
    return _export(AnalysisGraph(model), (image,), shapes, _image_shape(), _latent_shapes(model))


def export_synthesis(model: ScaleHyperprior) -> onnx.ModelProto:
    """The synthesis graph of `model`."""
    rows, columns = _grid_dimensions()
    ratio = HYPERLATENT_STRIDE // LATENT_STRIDE
    z = torch.zeros(1, model.hyperlatent_channels, 2, 3)
    r = torch.zeros(1, model.latent_channels, 2 * ratio, 3 * ratio)
    shapes = ({2: rows, 3: columns}, {2: ratio * rows, 3: ratio * columns})
    return _export(SynthesisGraph(model), (z, r), shapes, _latent_shapes(model), _image_shape())


def _grid_dimensions() -> tuple[Dim, Dim]:
    largest = LARGEST_PICTURE // ALIGNMENT
    return Dim("rows", min=1, max=largest), Dim("columns", min=1, max=largest)


def _image_shape() -> dict[str, Shape]:
    return {"image": ("height", "width", 3)}


def _latent_shapes(model: ScaleHyperprior) -> dict[str, Shape]:
    latents = {
        "z": (model.hyperlatent_channels, HYPERLATENT_STRIDE),
        "r": (model.latent_channels, LATENT_STRIDE),
    }
    return {name: (1, channels, f"height/{stride}", f"width/{stride}") for name, (channels, stride) in latents.items()}


def _export(
    module: nn.Module,
    arguments: tuple[Tensor, ...],
    dynamic_shapes: tuple[Any, ...],
    inputs: dict[str, Shape],
    outputs: dict[str, Shape],
) -> onnx.ModelProto:
    with _quiet_exporter():
        program = torch.onnx.export(
            module.eval(),
            arguments,
            dynamo=True,
            opset_version=OPSET,
            dynamic_shapes=dynamic_shapes,
            input_names=list(inputs),
            output_names=list(outputs),
            verbose=False,
        )
    assert program is not None
    # Engines want the weights of a convolution to be plain constants, however large they are.
    onnxscript.optimizer.fold_constants(program.model, input_size_limit=1 << 31, output_size_limit=1 << 31)
    onnxscript.optimizer.remove_unused_nodes(program.model)
    return _bare(ir.to_proto(program.model), inputs | outputs)


@contextmanager
def _quiet_exporter() -> Iterator[None]:
    """The exporter reports its own deprecations and missing extras; none of them concerns the caller."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _bare(exported: onnx.ModelProto, shapes: dict[str, Shape]) -> onnx.ModelProto:
    """The graph without what varies from run to run or tells of the exporting machine, and with readable sizes."""
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
    model = onnx.helper.make_model(
        bare, ir_version=IR_VERSION, opset_imports=[onnx.helper.make_opsetid("", OPSET)], producer_name="edgecodec"
    )
    onnx.checker.check_model(model)
    return model


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
