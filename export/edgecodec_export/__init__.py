"""From trained PyTorch codecs to bundles: checkpoints, families, baking, integer entropy models, ONNX graphs.

Importing this package loads no torch; the public names are imported on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgecodec_export.fused.writing import FusedGraph, fuse_bundle
    from edgecodec_export.options import ExportOptions, FuseOptions, TritonOptions
    from edgecodec_export.pipeline import export_bundle
    from edgecodec_export.report import ExportReport, ReportedModel
    from edgecodec_export.triton.repository import TritonModel, write_repository

__all__ = [
    "ExportOptions",
    "ExportReport",
    "FuseOptions",
    "FusedGraph",
    "ReportedModel",
    "TritonModel",
    "TritonOptions",
    "export_bundle",
    "fuse_bundle",
    "write_repository",
]

_HOMES = {
    "ExportOptions": "options",
    "ExportReport": "report",
    "FuseOptions": "options",
    "FusedGraph": "fused.writing",
    "ReportedModel": "report",
    "TritonModel": "triton.repository",
    "TritonOptions": "options",
    "export_bundle": "pipeline",
    "fuse_bundle": "fused.writing",
    "write_repository": "triton.repository",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"edgecodec_export.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
