"""Precisions of a bundle of several models: a side has one for all of them, or for none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from edgecodec.description import BakedGraph, Side
from edgecodec_export.graphs.export_graphs import ExportedGraphs
from edgecodec_export.graphs.weights import remove_unused_weights

_SIDES: tuple[Side, ...] = ("encode", "decode")


def keep_shared_precisions(folder: Path, models: Sequence[ExportedGraphs]) -> list[ExportedGraphs]:
    """The graphs in precisions that every model has on their side. The files of others are removed from `folder`.

    A caller who names a precision thus gets it for any file, and a codec decodes all files in the same one.
    """
    shared = {
        side: set.intersection(*({each.precision for each in model.graphs if each.side == side} for model in models))
        for side in _SIDES
    }

    def is_shared(graph: BakedGraph) -> bool:
        return graph.precision in shared[graph.side]

    removed = [graph for model in models for graph in model.graphs if not is_shared(graph)]
    for graph in removed:
        (folder / graph.file).unlink()
    if removed:
        remove_unused_weights(folder, folder.glob("*.onnx"))
    files = {graph.file for graph in removed}
    lost = dict.fromkeys((graph.precision, graph.side) for graph in removed)
    lines = tuple(f"so no model has {precision} to {side}: it is for all of them or none" for precision, side in lost)
    return [
        replace(
            model,
            left_out=model.left_out + (lines if model is models[-1] else ()),
            graphs=tuple(filter(is_shared, model.graphs)),
            errors={file: error for file, error in model.errors.items() if file not in files},
            closeness={file: close for file, close in model.closeness.items() if file not in files},
        )
        for model in models
    ]
