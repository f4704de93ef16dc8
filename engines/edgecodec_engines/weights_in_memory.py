"""ONNX graphs whose weights lie in memory, for engines that would open files for them.

A tensor's `external_data` then gives an address instead of a place in a file: under a `location` that ONNX Runtime made
up for its own use (kTensorProtoMemoryAddressTag), and that OpenVINO understands too. No graph of a bundle can name it,
because the check of a bundle refuses its characters.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from edgecodec.native import view

_LOCATION = b"*/_ORT_MEM_ADDR_/*"

# Numbers of fields in onnx.proto.
_GRAPH, _INITIALIZER, _EXTERNAL_DATA, _KEY, _VALUE = 7, 5, 13, 1, 2
_VARINT, _EIGHT_BYTES, _SIZED, _FOUR_BYTES = 0, 1, 2, 5  # types of fields


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
    others, external = [], {}
    for number, field, contents in _fields(tensor):
        if number == _EXTERNAL_DATA:
            entry = {each: bytes(value) for each, _, value in _fields(contents)}
            external[entry[_KEY]] = entry[_VALUE]
        else:
            others.append(field)
    if not external:
        return bytes(tensor)
    address, size = files[external[b"location"]]
    offset = int(external.get(b"offset", b"0"))
    length = external.get(b"length") or str(size - offset).encode()
    moved = {b"location": _LOCATION, b"offset": str(address + offset).encode(), b"length": length}
    entries = [_sized(_KEY, key) + _sized(_VALUE, value) for key, value in moved.items()]
    return b"".join([*others, *(_sized(_EXTERNAL_DATA, entry) for entry in entries)])


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
