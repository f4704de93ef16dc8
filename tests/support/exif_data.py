"""Writes EXIF data, and TIFF files around them, with any tags, types and folders, true or not."""

from __future__ import annotations

import struct
from collections.abc import Container, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

EXIF, GPS, INTEROPERABILITY = 0x8769, 0x8825, 0xA005
ASCII, SHORT, LONG, UNDEFINED = 2, 3, 4, 7


@dataclass(frozen=True)
class Tag:
    """folder: what the tag points to instead of a value; count is then 1."""

    number: int
    kind: int
    count: int
    value: bytes
    folder: Sequence[Tag] | None = None


def text(number: int, value: str) -> Tag:
    return Tag(number, ASCII, len(value) + 1, value.encode() + b"\0")


def short(number: int, value: int, order: str = "<") -> Tag:
    return Tag(number, SHORT, 1, struct.pack(order + "H", value))


def folder(number: int, *tags: Tag) -> Tag:
    return Tag(number, LONG, 1, b"", tags)


def exif_data(*tags: Tag, order: str = "<", following: bytes = b"") -> bytes:
    """Tags in the order in which they are given. following: a directory with its values removed, behind the first."""
    header = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8)
    first = _directory(tags, order, 8, 0)
    if following:
        first = _directory(tags, order, 8, 8 + len(first))
    return header + first + following


def _directory(tags: Sequence[Tag], order: str, at: int, following: int) -> bytes:
    records, values = b"", b""
    start = at + 2 + 12 * len(tags) + 4
    for tag in tags:
        records += struct.pack(order + "HHI", tag.number, tag.kind, tag.count)
        if tag.folder is not None:
            records += struct.pack(order + "I", start + len(values))
            values += _directory(tag.folder, order, start + len(values), 0)
        elif len(tag.value) <= 4:
            records += tag.value.ljust(4, b"\0")
        else:
            records += struct.pack(order + "I", start + len(values))
            values += tag.value
    return struct.pack(order + "H", len(tags)) + records + struct.pack(order + "I", following) + values


def tiff_file(pixels: npt.NDArray[np.uint8], exif: bytes, kept: Container[int]) -> bytes:
    """Colours (height, width, 3) without compression, with those tags of EXIF data that are `kept`."""
    order = "<" if exif.startswith(b"II") else ">"
    height, width, _ = pixels.shape
    at = len(exif) + len(exif) % 2
    (count,) = struct.unpack_from(order + "H", exif, 8)
    records = [exif[start : start + 12] for start in range(10, 10 + 12 * count, 12)]
    records = [record for record in records if _number(record, order) in kept]
    start = at + 2 + 12 * (len(records) + 9) + 4
    structure = {256: width, 257: height, 258: 8, 259: 1, 262: 2, 273: start, 277: 3, 278: height, 279: pixels.size}
    records += [struct.pack(order + "HHII", number, LONG, 1, value) for number, value in structure.items()]
    records.sort(key=lambda record: _number(record, order))
    table = struct.pack(order + "H", len(records)) + b"".join(records) + bytes(4)
    return exif[:4] + struct.pack(order + "I", at) + exif[8:].ljust(at - 8, b"\0") + table + pixels.tobytes()


def _number(record: bytes, order: str) -> int:
    number: int = struct.unpack_from(order + "H", record)[0]
    return number
