"""What the files of fused graphs are called."""

from __future__ import annotations

import re

from edgecodec.description import Description
from edgecodec_export.text import suffix


def file_name(info: Description, number: int) -> str:
    """Of a decoder's fused graph: its knobs, and the model and the precision where the bundle has several."""
    decoders = [graph for graph in info.graphs if graph.side == "decode"]
    graph = info.graphs[number]
    model = f"-{info.models[graph.model].id}" if len(info.models) > 1 else ""
    several = len({each.precision for each in decoders}) > 1
    # A bundle may call a precision as it likes.
    precision = "-" + re.sub(r"[^\w.+-]", "_", graph.precision, flags=re.ASCII) if several else ""
    return f"decode{model}{suffix(graph.knobs)}{precision}.onnx"
