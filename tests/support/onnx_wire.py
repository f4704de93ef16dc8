"""The wire format of protocol buffers by hand, and the messages of ONNX as the onnx package describes them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest

try:
    import onnx
except ModuleNotFoundError:
    pytest.skip("its graphs are made with onnx, which is not installed", allow_module_level=True)

VARINT, EIGHT_BYTES, SIZED, GROUP, END_GROUP, FOUR_BYTES = range(6)  # wire types

GRAPH = 7  # the field of a model

#: By number of ModelProto and what lies in it, down to a message.
Path = tuple[int, ...]


def varint(value: int, length: int = 1) -> bytes:
    """Unsigned LEB128 in at least `length` bytes."""
    out = bytearray()
    while value > 127 or len(out) + 1 < length:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def tag(number: int, wire_type: int) -> bytes:
    return varint(number << 3 | wire_type)


def sized(number: int, payload: bytes) -> bytes:
    """A field that is text or a message."""
    return tag(number, SIZED) + varint(len(payload)) + payload


def inside(path: Path, content: bytes) -> bytes:
    """A model with a graph, and with one message at `path` that ends in `content`."""
    for number in reversed(path):
        content = sized(number, content)
    return content if path and path[0] == GRAPH else sized(GRAPH, b"") + content


def wire_type(field: Any) -> int:
    """That of a value which is not packed."""
    if field.type in (field.TYPE_STRING, field.TYPE_BYTES, field.TYPE_MESSAGE):
        return SIZED
    return {field.TYPE_FLOAT: FOUR_BYTES, field.TYPE_DOUBLE: EIGHT_BYTES}.get(field.type, VARINT)


def value(wire: int) -> bytes:
    """The smallest value of a wire type."""
    return {VARINT: b"\0", EIGHT_BYTES: bytes(8), SIZED: b"\0", FOUR_BYTES: bytes(4)}[wire]


@cache
def messages() -> dict[str, tuple[Path, Any]]:
    """By name, every message that can be in a model: a short way to one, and its descriptor."""
    found: dict[str, tuple[Path, Any]] = {"onnx.ModelProto": ((), onnx.ModelProto.DESCRIPTOR)}
    waiting = [*found.values()]
    while waiting:
        path, descriptor = waiting.pop(0)
        for field in descriptor.fields:
            inner = field.message_type
            if inner is not None and inner.full_name not in found:
                found[inner.full_name] = ((*path, field.number), inner)
                waiting.append(found[inner.full_name])
    return found


# ---- a message as a tree of fields, to change it field by field -----------------------------------------------------

#: Number, wire type, and the value: fields of a message, or bytes as they stand.
Field = tuple[int, int, Any]


def fields(data: bytes, descriptor: Any) -> list[Field]:
    """A well-formed message as its fields."""
    found: list[Field] = []
    position = 0
    while position < len(data):
        key, position = _number(data, position)
        number, wire = key >> 3, key & 7
        start = position
        if wire == VARINT:
            _, position = _number(data, position)
        elif wire == SIZED:
            size, start = _number(data, position)
            position = start + size
        else:
            position += 8 if wire == EIGHT_BYTES else 4
        payload = data[start:position]
        inner = descriptor.fields_by_number[number].message_type
        found.append((number, wire, payload if inner is None else fields(payload, inner)))
    return found


def message(tree: list[Field], *, slack: int = 0) -> bytes:
    """The bytes of a message. slack: by how many bytes every size is longer than it need be."""
    out = bytearray()
    for number, wire, payload in tree:
        content = message(payload, slack=slack) if isinstance(payload, list) else payload
        out += tag(number, wire)
        if wire == SIZED:
            size = varint(len(content))
            out += varint(len(content), len(size) + slack)
        out += content
    return bytes(out)


def every_list(tree: list[Field]) -> Iterator[list[Field]]:
    """The fields of a message, and those of every message in it."""
    yield tree
    for _, _, payload in tree:
        if isinstance(payload, list):
            yield from every_list(payload)


def _number(data: bytes, position: int) -> tuple[int, int]:
    result = shift = 0
    while True:
        byte = data[position]
        result |= (byte & 127) << shift
        shift, position = shift + 7, position + 1
        if byte < 128:
            return result, position
