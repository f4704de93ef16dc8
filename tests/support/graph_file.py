"""ONNX graphs of bundles, read by native code before any engine sees them (docs/format.md, section 5)."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

from edgecodec import native

_USUAL = 256  # more weights in other files than this cost a second reading


@dataclass(frozen=True)
class Weights:
    """The values of one initializer: `size` bytes from `offset` on in the file that the graph calls `location`, a plain
    path relative to its own folder.
    """

    location: str
    offset: int
    size: int


def weights_elsewhere(graph: bytes) -> list[Weights]:
    """The weights that an ONNX file has in other files, from its bytes.

    Raises BadModel, which names the place in the graph, for what is not an ONNX file, for what other readers could read
    in another way, and for what may not be in a bundle.
    """
    library, data = native.library(), native.view(graph)
    capacity, count = _USUAL, ctypes.c_size_t()
    while True:
        found = (native.CoreWeights * capacity)()
        native.call(library.ec_core_graph_read, data.address, data.size, found, capacity, ctypes.byref(count))
        if count.value <= capacity:
            break
        capacity = count.value
    return [_weights(graph, each) for each in found[: count.value]]


def _weights(graph: bytes, found: native.CoreWeights) -> Weights:
    location = graph[found.location.offset : found.location.offset + found.location.size]
    return Weights(location.decode("ascii"), found.values.offset, found.values.size)
