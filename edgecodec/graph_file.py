"""External files of an ONNX graph. The runtime has no onnx, so this reads as much of protocol buffers as it takes."""

from __future__ import annotations

from collections.abc import Iterator
from mmap import mmap

#: By message of onnx.proto and field number: the messages in which tensors can lie.
_PARTS = {
    "Model": {7: "Graph", 20: "TrainingInfo", 25: "Function"},
    "Graph": {1: "Node", 5: "Tensor", 15: "SparseTensor"},
    "Node": {5: "Attribute"},
    "Attribute": {5: "Tensor", 6: "Graph", 10: "Tensor", 11: "Graph", 22: "SparseTensor", 23: "SparseTensor"},
    "SparseTensor": {1: "Tensor", 2: "Tensor"},
    "Tensor": {13: "ExternalData"},
    "Function": {7: "Node", 11: "Attribute"},
    "TrainingInfo": {1: "Graph", 2: "Graph"},
    "ExternalData": {},
}
_KEY, _VALUE = 1, 2  # fields of an entry of external data
_LOCATION = b"location"

_VARINT, _EIGHT_BYTES, _SIZED, _FOUR_BYTES = 0, 1, 2, 5  # wire types of protocol buffers
_LONGEST_VARINT = 10


def external_files(data: bytes | mmap) -> frozenset[str]:
    """The files that hold tensors of a graph, as it names them, from the bytes of its ONNX file.

    Raises ValueError for what is not an ONNX file.
    """
    found = set()
    waiting = [("Model", 0, len(data))]
    while waiting:
        message, start, stop = waiting.pop()
        parts = _PARTS[message]
        entry: dict[int, bytes] = {}
        for number, first, last in _sized_fields(data, start, stop):
            if message == "ExternalData":
                entry[number] = data[first:last]
            elif number in parts:
                waiting.append((parts[number], first, last))
        if entry.get(_KEY) == _LOCATION:
            found.add(entry.get(_VALUE, b"").decode())
    return frozenset(found)


def _sized_fields(data: bytes | mmap, position: int, stop: int) -> Iterator[tuple[int, int, int]]:
    """Number, start and end of every field of a message that is text, bytes or a message."""
    while position < stop:
        tag, position = _varint(data, position)
        start, wire_type = position, tag & 7
        if wire_type == _VARINT:
            _, position = _varint(data, start)
        elif wire_type == _SIZED:
            size, start = _varint(data, position)
            position = start + size
        elif wire_type in (_EIGHT_BYTES, _FOUR_BYTES):
            position += 8 if wire_type == _EIGHT_BYTES else 4
        else:
            raise ValueError(f"a field is of wire type {wire_type}")
        if position > stop:
            raise ValueError("a field ends beyond its message")
        if wire_type == _SIZED:
            yield tag >> 3, start, position


def _varint(data: bytes | mmap, position: int) -> tuple[int, int]:
    """A number, and the position behind it."""
    value = 0
    for i, byte in enumerate(data[position : position + _LONGEST_VARINT]):
        value |= (byte & 127) << 7 * i
        if byte < 128:
            return value, position + i + 1
    raise ValueError("a number has no end")
