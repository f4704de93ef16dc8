"""The needs of a graph that matter for large pictures: the halo of its tiles, and its memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import onnx

from edgecodec.description import LatentSpec, Tiling
from edgecodec_export.families.codec import LearnedCodec
from edgecodec_export.graphs.activation_memory import largest_live_bytes
from edgecodec_export.graphs.onnx_export import IMAGE, synthesis_inputs
from edgecodec_export.graphs.receptive_field import Grid, NotTileableError, halo, shapes_at

# Memory is counted for a picture of at least this many pixels a side, so that constant parts hardly matter.
_COUNTED_SIDE = 1024

_IMAGE_GRID = {IMAGE: Grid(1, (0, 1))}


@dataclass(frozen=True)
class GraphNeeds:
    """bytes_per_pixel: memory for activations, per pixel of the picture; weights are not included."""

    tiling: Tiling
    bytes_per_pixel: float


def analysis_needs(graph: onnx.ModelProto, model: LearnedCodec) -> GraphNeeds:
    """The needs of the analysis graph of one of `model`'s encoders."""
    return _needs(graph, _IMAGE_GRID, grids(model.encoder_latents()), model.latent_alignment(), model.ALIGNMENT)


def synthesis_needs(graph: onnx.ModelProto, model: LearnedCodec) -> GraphNeeds:
    """The needs of the synthesis graph of one of `model`'s decoders."""
    unit = model.latent_alignment()
    return _needs(graph, grids(synthesis_inputs(model)), _IMAGE_GRID, unit, unit)


def grids(latents: Sequence[LatentSpec]) -> dict[str, Grid]:
    """Where the maps of latents lie."""
    return {latent.name: Grid(latent.stride, (2, 3)) for latent in latents}


def _needs(
    graph: onnx.ModelProto, inputs: dict[str, Grid], outputs: dict[str, Grid], unit: int, alignment: int
) -> GraphNeeds:
    side = -(-_COUNTED_SIDE // unit) * unit
    bytes_per_pixel = round(largest_live_bytes(shapes_at(graph, inputs, side, side)) / side**2, 1)
    try:
        tiling = Tiling(halo(graph, inputs, outputs, unit, alignment))
    except NotTileableError as error:
        tiling = Tiling(None, str(error))
    return GraphNeeds(tiling, bytes_per_pixel)
