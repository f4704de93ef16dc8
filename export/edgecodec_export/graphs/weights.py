"""Weights of graphs in separate files, named by their hash, so that graphs with equal weights share them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

import onnx
from onnxscript import ir

FOLDER = "weights"
SMALLEST = 1 << 16  # bytes; smaller constants stay in the graph


def store_weights(model: ir.Model, root: Path) -> None:
    """Move the large initializers of `model` to files in `root`, the folder of the graph. Equal ones become one file.

    One tensor at a time is copied.
    """
    for value in model.graph.initializers.values():
        tensor = value.const_value
        if tensor is None or tensor.nbytes < SMALLEST:
            continue
        name = tensor.name or value.name
        assert name is not None
        data = tensor.tobytes()
        location = f"{FOLDER}/{hashlib.sha256(data).hexdigest()[:16]}.bin"
        file = root / location
        if not file.exists():
            file.parent.mkdir(exist_ok=True)
            file.write_bytes(data)
        value.const_value = ir.ExternalTensor(
            location, 0, len(data), tensor.dtype, shape=ir.Shape(tensor.shape.numpy()), name=name, base_dir=root
        )


def weight_bytes(model: ir.Model) -> int:
    """Size of all initializers in bytes."""
    return sum(value.const_value.nbytes for value in model.graph.initializers.values() if value.const_value is not None)


def remove_unused_weights(root: Path, graphs: Iterable[Path]) -> None:
    """Remove the files of weights in `root` that none of the graphs refers to."""
    used = {
        each.value
        for path in graphs
        for tensor in onnx.load(path, load_external_data=False).graph.initializer
        for each in tensor.external_data
        if each.key == "location"
    }
    for file in root.glob(f"{FOLDER}/*"):
        if file.relative_to(root).as_posix() not in used:
            file.unlink()
    if (root / FOLDER).is_dir() and not any((root / FOLDER).iterdir()):
        (root / FOLDER).rmdir()
