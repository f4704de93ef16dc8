"""Directories of TIFF files, and of EXIF data, which are TIFF files without pixels: read without trust, and written.

Source: TIFF 6.0, section 2; the 64-bit layout is that of BigTIFF, type 129 (UTF-8 text) that of Exif 3.0.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

BYTE, ASCII, SHORT, LONG, RATIONAL, UNDEFINED, DIRECTORY, UTF8 = 1, 2, 3, 4, 5, 7, 13, 129  # types of values

# Bytes of the numbers that a value of each type is made of, and how many of them make one value.
_NUMBERS = {
    BYTE: (1, 1), ASCII: (1, 1), SHORT: (2, 1), LONG: (4, 1), RATIONAL: (4, 2), 6: (1, 1), UNDEFINED: (1, 1),
    8: (2, 1), 9: (4, 1), 10: (4, 2), 11: (4, 1), 12: (8, 1), DIRECTORY: (4, 1), UTF8: (1, 1),
}  # fmt: skip
_NUMBERS_OF_64_BITS = {16: (8, 1), 17: (8, 1), 18: (8, 1)}  # in BigTIFF
_MOST_ENTRIES = 65535  # that a directory of the 32-bit layout can hold
_MOST_DIRECTORIES = 10000


@dataclass(frozen=True)
class Entry:
    """One tag's values. kind: their type. value: their bytes, in the byte order of the structure, not copied.

    record: the entry as it stands in the table. end: where the values end, in bytes from the start of the structure.
    """

    kind: int
    count: int
    value: memoryview
    record: bytes = b""
    end: int = 0


@dataclass(frozen=True)
class Directory:
    """entries by tag, those alone that can be read. whole: there are no others. table: where it lies, in bytes.

    following: offset of the next directory, or 0.
    """

    entries: Mapping[int, Entry]
    whole: bool
    table: range
    following: int


class Structure:
    """A TIFF file or EXIF data. order: "<" or ">", as in the module struct. first: offset of the first directory."""

    def __init__(self, data: bytes) -> None:
        """Raises ValueError for anything else."""
        order = {b"II": "<", b"MM": ">"}.get(data[:2])
        if order is None or len(data) < 8:
            raise ValueError("no TIFF header")
        self.data, self.order = data, order
        (magic,) = struct.unpack_from(order + "H", data, 2)
        self.wide = magic == 43
        if magic not in (42, 43) or (self.wide and len(data) < 16):
            raise ValueError("no TIFF header")
        (self.first,) = struct.unpack_from(order + ("Q" if self.wide else "I"), data, 8 if self.wide else 4)

    def directory(self, offset: int) -> Directory:
        """The directory at this offset. Raises ValueError where its table is not inside the data."""
        data, view = self.data, memoryview(self.data)
        count_type, offset_type = ("Q", "Q") if self.wide else ("H", "I")
        head = struct.calcsize("=" + count_type)
        if not 8 <= offset <= len(data) - head:
            raise ValueError("a directory lies outside the data")
        (count,) = struct.unpack_from(self.order + count_type, data, offset)
        width, room = (20, 8) if self.wide else (12, 4)
        end = offset + head + count * width
        if count > _MOST_ENTRIES or end > len(data):
            raise ValueError("a directory reaches beyond the data")
        numbers = {**_NUMBERS, **_NUMBERS_OF_64_BITS} if self.wide else _NUMBERS
        entries: dict[int, Entry] = {}
        whole = True
        for at in range(offset + head, end, width):
            tag, kind, values = struct.unpack_from(f"{self.order}HH{offset_type}", data, at)
            unit, each = numbers.get(kind, (0, 0))
            size = unit * each * values
            start = at + width - room
            if size > room:
                (start,) = struct.unpack_from(self.order + offset_type, data, start)
            if not size or start + size > len(data) or tag in entries:
                whole = False
                continue
            entries[tag] = Entry(kind, values, view[start : start + size], data[at : at + width], start + size)
        following = 0
        if end + room <= len(data):
            (following,) = struct.unpack_from(self.order + offset_type, data, end)
        return Directory(entries, whole, range(offset, end), following)

    def directories(self) -> Iterator[Directory]:
        """The first, and those that follow it. Raises ValueError as `directory` does, and for a chain without end."""
        seen: set[int] = set()
        offset = self.first
        while offset:
            if offset in seen or len(seen) == _MOST_DIRECTORIES:
                raise ValueError("the directories have no end")
            seen.add(offset)
            directory = self.directory(offset)
            yield directory
            offset = directory.following

    def number(self, entry: Entry | None) -> int | None:
        """The first value, if that is a whole number without sign."""
        if entry is None or entry.kind not in (BYTE, SHORT, LONG, DIRECTORY, 16, 18):
            return None
        size, _ = {**_NUMBERS, **_NUMBERS_OF_64_BITS}[entry.kind]
        return int.from_bytes(entry.value[:size], "little" if self.order == "<" else "big")


@dataclass(frozen=True)
class Folder:
    """A directory to be written: entries by tag, and the folders that tags of it point to."""

    entries: Mapping[int, Entry]
    folders: Mapping[int, Folder] = field(default_factory=dict)


def reordered(entry: Entry, order: str, wanted: str) -> Entry:
    """The same values in another byte order."""
    size, _ = _NUMBERS[entry.kind]
    if size == 1 or order == wanted:
        return entry
    value = bytearray(len(entry.value))
    for byte in range(size):
        value[byte::size] = entry.value[size - 1 - byte :: size]
    return Entry(entry.kind, entry.count, memoryview(bytes(value)))


def serialised(folder: Folder, order: str, at: int, following: int = 0) -> bytes:
    """A directory with its values and the folders below it, in the 32-bit layout, to be put at the even offset `at`."""
    table = bytearray(struct.pack(order + "H", len(folder.entries) + len(folder.folders)))
    behind = bytearray()
    start = at + 2 + 12 * (len(folder.entries) + len(folder.folders)) + 4
    for tag in sorted((*folder.entries, *folder.folders)):
        where = start + len(behind)
        if tag in folder.folders:
            table += struct.pack(order + "HHII", tag, LONG, 1, where)
            behind += serialised(folder.folders[tag], order, where)
            continue
        entry = folder.entries[tag]
        table += struct.pack(order + "HHI", tag, entry.kind, entry.count)
        if len(entry.value) <= 4:
            table += bytes(entry.value).ljust(4, b"\0")
        else:
            table += struct.pack(order + "I", where)
            behind += entry.value
        behind += bytes(len(behind) % 2)
    return bytes(table + struct.pack(order + "I", following) + behind)
