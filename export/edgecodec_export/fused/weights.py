"""Weights of a fused graph: inside its file, or beside it where one message cannot hold them all."""

from __future__ import annotations

import math
from collections.abc import Mapping

import onnx
from onnx import TensorProto, external_data_helper, helper

LARGEST_FILE = (1 << 31) - 1  # bytes; protocol buffers end there
SMALLEST = 1 << 16  # bytes; smaller tensors stay inside
_ALIGNMENT = 1 << 12  # bytes, so that pages of the file can be mapped


def fits(model: onnx.ModelProto, weights: Mapping[str, memoryview]) -> bool:
    """Whether a file can hold the graph and all its weights, and the few bytes that say where each is."""
    outside = sum(len(_contents(tensor, weights)) for tensor in model.graph.initializer if _is_outside(tensor))
    return model.ByteSize() + outside + 16 * len(model.graph.initializer) <= LARGEST_FILE


def embed(model: onnx.ModelProto, weights: Mapping[str, memoryview]) -> None:
    """Copy into the graph what lies outside. weights: as in `Fused`."""
    for tensor in model.graph.initializer:
        if _is_outside(tensor):
            tensor.raw_data = bytes(_contents(tensor, weights))
            tensor.ClearField("external_data")
            tensor.ClearField("data_location")


def move_out(model: onnx.ModelProto, weights: Mapping[str, memoryview], location: str) -> bytes:
    """Let the graph take all its large tensors from the file of this name beside it. Returns what is in that file."""
    data = bytearray()
    for tensor in model.graph.initializer:
        contents = _contents(tensor, weights) if _is_outside(tensor) else memoryview(tensor.raw_data)
        if len(contents) < SMALLEST and not _is_outside(tensor):
            continue
        data += bytes(-len(data) % _ALIGNMENT)
        offset = len(data)
        data += contents
        tensor.raw_data = b""
        external_data_helper.set_external_data(tensor, location, offset, len(contents))
        tensor.ClearField("raw_data")
    return bytes(data)


def _is_outside(tensor: TensorProto) -> bool:
    return tensor.data_location == TensorProto.EXTERNAL


def _contents(tensor: TensorProto, weights: Mapping[str, memoryview]) -> memoryview:
    """What a tensor that lies outside holds. Its size follows from its shape."""
    entries = {entry.key: entry.value for entry in tensor.external_data}
    start = int(entries.get("offset", 0))
    size = math.prod(tensor.dims) * helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
    return weights[entries["location"]][start : start + size]
