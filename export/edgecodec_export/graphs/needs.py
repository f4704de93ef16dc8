"""What the manifest says of a graph for the sake of large pictures: its halo, and its memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import onnx

from edgecodec.entropy import LatentSpec
from edgecodec_export.families.codec import LearnedCodec
from edgecodec_export.graphs.activation_memory import largest_live_bytes
from edgecodec_export.graphs.onnx_export import synthesis_inputs
from edgecodec_export.graphs.receptive_field import Grid, NotTileableError, halo, shapes_at

_PICTURE = 1024  # least pixels a side at which memory is counted, so that what does not grow with the picture is little

_IMAGE = {"image": Grid(1, (0, 1))}


def analysis_needs(graph: onnx.ModelProto, model: LearnedCodec) -> dict[str, Any]:
    """ "tiling" and "memory" of the analysis graph of one of `model`'s encoders."""
    return _needs(graph, _IMAGE, _grids(model.encoder_latents()), model.latent_alignment(), model.ALIGNMENT)


def synthesis_needs(graph: onnx.ModelProto, model: LearnedCodec) -> dict[str, Any]:
    """The same of a synthesis graph."""
    unit = model.latent_alignment()
    return _needs(graph, _grids(synthesis_inputs(model)), _IMAGE, unit, unit)


def _grids(latents: Sequence[LatentSpec]) -> dict[str, Grid]:
    return {latent.name: Grid(latent.stride, (2, 3)) for latent in latents}


def _needs(
    graph: onnx.ModelProto, inputs: dict[str, Grid], outputs: dict[str, Grid], unit: int, alignment: int
) -> dict[str, Any]:
    side = -(-_PICTURE // unit) * unit
    memory = {"bytes_per_pixel": round(largest_live_bytes(shapes_at(graph, inputs, side, side)) / side**2, 1)}
    try:
        tiling: dict[str, Any] = {"halo": list(halo(graph, inputs, outputs, unit, alignment))}
    except NotTileableError as error:
        tiling = {"reason": str(error)}
    return {"tiling": tiling, "memory": memory}
