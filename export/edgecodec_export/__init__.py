"""From trained PyTorch codecs to bundles: families, baking, integer entropy models, ONNX graphs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgecodec_export.pipeline import ExportReport, export_bundle

__all__ = ["ExportReport", "export_bundle"]


def __getattr__(name: str) -> Any:
    # Lazy, because training imports this package for its families and needs no exporter.
    if name in __all__:
        from edgecodec_export import pipeline

        return getattr(pipeline, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
