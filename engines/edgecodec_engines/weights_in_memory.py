"""ONNX graphs whose weights lie in memory, for engines that would open files for them.

ONNX Runtime takes the tensors by name. For OpenVINO a tensor's `external_data` gives an address instead of a place in a
file: under a `location` that ONNX Runtime made up for its own use (kTensorProtoMemoryAddressTag), and that OpenVINO
understands too. No graph of a bundle can name it, because the check of a bundle refuses its characters.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from edgecodec.native import view

if TYPE_CHECKING:
    import numpy.typing as npt

_LOCATION = b"*/_ORT_MEM_ADDR_/*"

# Numbers of fields in onnx.proto.
_GRAPH, _INITIALIZER, _EXTERNAL_DATA, _KEY, _VALUE = 7, 5, 13, 1, 2
_DIMENSIONS, _TYPE, _NAME = 1, 2, 8
_VARINT, _EIGHT_BYTES, _SIZED, _FOUR_BYTES = 0, 1, 2, 5  # types of fields

#: NumPy's names of the types of tensors, by their numbers in onnx.proto.
_TYPES = {1: "float32", 2: "uint8", 3: "int8", 6: "int32", 7: "int64", 10: "float16", 11: "float64"}


def tensors_by_name(graph: bytes, weights: Mapping[str, bytes | memoryview]) -> Iterator[tuple[str, npt.NDArray[Any]]]:
    """The values of each external tensor of the graph in `weights`, the contents of files by name, without a copy.

    graph: has passed the check of a bundle. Raises ValueError and LookupError where a tensor does not lie there.
    """
    import numpy as np

    for number, _, contents in _fields(memoryview(graph)):
        for inner, _, tensor in _fields(contents) if number == _GRAPH else ():
            if inner != _INITIALIZER or not (place := _place(tensor)):
                continue
            found = {each: value for each, _, value in _fields(tensor)}
            shape = [side for each, _, value in _fields(tensor) if each == _DIMENSIONS for side in _varints(value)]
            (kind,) = _varints(found[_TYPE])
            offset = int(place.get(b"offset", b"0"))
            values = np.frombuffer(
                weights[place[b"location"].decode()], _TYPES[kind], np.prod(shape, dtype=int), offset
            )
            yield bytes(found[_NAME]).decode(), values.reshape(shape)


def with_addresses(graph: bytes, weights: Mapping[str, bytes | memoryview]) -> bytes:
    """The graph with its external weights where `weights`, the contents of files by name, have them in memory.

    graph: has passed the check of a bundle. The result holds for as long as `weights` stay where they are.
    """
    if not weights:
        return graph
    files = {name.encode(): (view(data).address, len(data)) for name, data in weights.items()}
    return b"".join(
        _sized(_GRAPH, _with_addresses_in_graph(contents, files)) if number == _GRAPH else field
        for number, field, contents in _fields(memoryview(graph))
    )


def _with_addresses_in_graph(graph: memoryview, files: Mapping[bytes, tuple[int, int]]) -> bytes:
    """External weights are in initializers of the main graph alone."""
    return b"".join(
        _sized(_INITIALIZER, _with_address(contents, files)) if number == _INITIALIZER else field
        for number, field, contents in _fields(graph)
    )


def _with_address(tensor: memoryview, files: Mapping[bytes, tuple[int, int]]) -> bytes:
    external = _place(tensor)
    if not external:
        return bytes(tensor)
    others = (field for number, field, _ in _fields(tensor) if number != _EXTERNAL_DATA)
    address, size = files[external[b"location"]]
    offset = int(external.get(b"offset", b"0"))
    length = external.get(b"length") or str(size - offset).encode()
    moved = {b"location": _LOCATION, b"offset": str(address + offset).encode(), b"length": length}
    entries = [_sized(_KEY, key) + _sized(_VALUE, value) for key, value in moved.items()]
    return b"".join([*others, *(_sized(_EXTERNAL_DATA, entry) for entry in entries)])


def _place(tensor: memoryview) -> dict[bytes, bytes]:
    """Location, offset and length of an external tensor; nothing for one whose values are in the graph."""
    entries = (contents for number, _, contents in _fields(tensor) if number == _EXTERNAL_DATA)
    pairs = ({each: bytes(value) for each, _, value in _fields(entry)} for entry in entries)
    return {pair[_KEY]: pair[_VALUE] for pair in pairs}


def _fields(message: memoryview) -> Iterator[tuple[int, memoryview, memoryview]]:
    """Number, all bytes and contents of each field of a message."""
    at = 0
    while at < len(message):
        begin = at
        tag, at = _varint(message, at)
        contents = at
        if tag & 7 == _VARINT:
            _, at = _varint(message, at)
        elif tag & 7 == _SIZED:
            size, contents = _varint(message, at)
            at = contents + size
        else:
            at += {_EIGHT_BYTES: 8, _FOUR_BYTES: 4}[tag & 7]
        yield tag >> 3, message[begin:at], message[contents:at]


def _varints(message: memoryview) -> Iterator[int]:
    at = 0
    while at < len(message):
        value, at = _varint(message, at)
        yield value


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """A number, and where it ends."""
    value = shift = 0
    while True:
        byte = message[at]
        value |= (byte & 127) << shift
        shift += 7
        at += 1
        if byte < 128:
            return value, at


def _sized(number: int, contents: bytes) -> bytes:
    return _encoded(number << 3 | _SIZED) + _encoded(len(contents)) + contents


def _encoded(value: int) -> bytes:
    encoded = bytearray()
    while value > 127:
        encoded.append(value & 127 | 128)
        value >>= 7
    return bytes([*encoded, value])
