"""Writes EXIF data with any tags, types and folders, true or not."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import NamedTuple

EXIF, GPS, INTEROPERABILITY = 0x8769, 0x8825, 0xA005
ASCII, SHORT, LONG, UNDEFINED = 2, 3, 4, 7


class Tag(NamedTuple):
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
    for number, kind, count, value, below in tags:
        records += struct.pack(order + "HHI", number, kind, count)
        if below is not None:
            records += struct.pack(order + "I", start + len(values))
            values += _directory(below, order, start + len(values), 0)
        elif len(value) <= 4:
            records += value.ljust(4, b"\0")
        else:
            records += struct.pack(order + "I", start + len(values))
            values += value
    return struct.pack(order + "H", len(tags)) + records + struct.pack(order + "I", following) + values
