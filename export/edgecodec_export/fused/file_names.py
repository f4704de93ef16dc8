"""What the files of fused graphs are called."""

from __future__ import annotations

import re

from edgecodec.description import SINGLE, Description
from edgecodec_export.text import suffix


def file_name(info: Description, number: int) -> str:
    """Of a decoder's fused graph."""
    return f"decode{point_name(info, number)}.onnx"


def point_name(info: Description, number: int) -> str:
    """What tells a decoder from the others: its knobs, its model where the bundle has several, and a precision other
    than fp32.
    """
    graph = info.graphs[number]
    model = f"-{info.models[graph.model].id}" if len(info.models) > 1 else ""
    # A bundle may call a precision as it likes.
    named = "" if graph.precision == SINGLE else "-" + re.sub(r"[^\w.+-]", "_", graph.precision, flags=re.ASCII)
    return f"{model}{suffix(graph.knobs)}{named}"
