"""EXIF data: what describes a picture is kept; what would tell a reader how to take the pixels is left out.

Offsets inside are kept: maker notes hold some that nobody else can adjust. Sources: Exif 3.0 (CIPA DC-008), section
4.6; TIFF 6.0, section 8 for the descriptive tags of a TIFF file.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from edgecodec import tiff_structure as tiff
from edgecodec.tiff_structure import Directory, Entry, Folder, Structure

PREFIX = b"Exif\0\0"  # JPEG's marker in front of the TIFF structure; stored without it
UPRIGHT = 1  # the orientation of a picture that is upright
TURNED = range(2, 9)  # those of pictures to be turned or flipped

_ORIENTATION = 0x0112
_EXIF, _GPS, _INTEROPERABILITY = 0x8769, 0x8825, 0xA005  # tags that point to folders
_CARRIED_APART = (700, 34675)  # XMP and ICC profile of TIFF files
_POINTERS = {0: (_EXIF, _GPS), _EXIF: (_INTEROPERABILITY,), _GPS: (), _INTEROPERABILITY: ()}  # 0: the first directory

_TEXT = {tiff.ASCII, tiff.UTF8, tiff.BYTE, tiff.UNDEFINED}
_XP = {tiff.BYTE}
_RESOLUTIONS, _RESOLUTION_UNIT = (0x011A, 0x011B), 0x0128
# Tags of the first directory that say nothing about how pixels are stored, and the types that they may have. Folders
# are kept as they are: no reader takes pixels by them.
_DESCRIPTIVE: Mapping[int, set[int]] = {
    0x010D: _TEXT, 0x010E: _TEXT, 0x010F: _TEXT, 0x0110: _TEXT,  # name of the document, description, make, model
    0x011A: {tiff.RATIONAL}, 0x011B: {tiff.RATIONAL}, 0x0128: {tiff.SHORT},  # resolution, and its unit
    0x011D: _TEXT, 0x0131: _TEXT, 0x0132: _TEXT, 0x013B: _TEXT, 0x013C: _TEXT,  # page, software, time, artist, host
    0x4746: {tiff.SHORT}, 0x4749: {tiff.SHORT},  # ratings
    0x8298: _TEXT,  # copyright
    0x83BB: {tiff.BYTE, tiff.LONG, tiff.UNDEFINED},  # IPTC
    0x9C9B: _XP, 0x9C9C: _XP, 0x9C9D: _XP, 0x9C9E: _XP, 0x9C9F: _XP,  # Windows' title, comment, ...
    0xC4A5: {tiff.UNDEFINED},  # print image matching
}  # fmt: skip
_FIRST_PRIVATE = 0x8000  # tags below are TIFF's own, and describe its pixels where they are not descriptive

#: Largest ICC profile, EXIF data or XMP that is carried, in bytes.
MOST_BYTES = 1 << 24

UNREADABLE = "dropped unreadable EXIF data"
TOO_LARGE = "dropped EXIF data of more than 16 MiB"


class Cleaned(NamedTuple):
    """EXIF data (without PREFIX) that steer nothing, or None. orientation: what they had asked for, or None.

    notes: what was left out, apart from tags of pixels and the orientation.
    """

    data: bytes | None
    orientation: int | None
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Kept:
    """A directory, the entries of it that stay, and the folders below it."""

    directory: Directory
    entries: Mapping[int, Entry]
    below: Mapping[int, _Kept]

    def all(self) -> Iterator[_Kept]:
        yield self
        for folder in self.below.values():
            yield from folder.all()

    def empty(self) -> bool:
        return not self.entries and not self.below

    def size(self) -> int:
        """Bytes of all values; entries may share theirs."""
        return sum(len(entry.value) for folder in self.all() for entry in folder.entries.values())


def cleaned(data: bytes) -> Cleaned:
    """EXIF data with all that steers taken out of them, at the offsets where they were.

    A thumbnail (the second directory) stays, unless it is damaged or the picture has been turned since.
    """
    while data.startswith(PREFIX):
        data = data[len(PREFIX) :]
    try:
        structure = Structure(data)
        kept, notes = _sifted(structure)
    except ValueError:
        return Cleaned(None, None, (UNREADABLE,))
    if structure.wide:  # only a TIFF file may be
        return Cleaned(None, None, (UNREADABLE,))
    orientation = structure.number(kept.directory.entries.get(_ORIENTATION))
    if kept.empty():
        return Cleaned(None, orientation, notes)
    thumbnail = 0 if orientation in TURNED else _thumbnail(structure, kept)
    out = bytearray(data)
    for folder in kept.all():
        _rewrite_table(out, structure.order, folder, thumbnail if folder is kept else None)
    if kept.directory.following and not thumbnail:
        # What is behind the rest was the thumbnail's.
        ends = [folder.directory.table.stop + 4 for folder in kept.all()]
        ends += [entry.end for folder in kept.all() for entry in folder.entries.values()]
        del out[max(ends) :]
    return Cleaned(bytes(out), orientation, notes)


def of_tiff(structure: Structure) -> Cleaned:
    """The descriptive tags of a TIFF file's first directory, with the folders that it points to, as EXIF data."""
    try:
        kept, notes = _sifted(structure)
    except ValueError:
        return Cleaned(None, None, (UNREADABLE,))
    orientation = structure.number(kept.directory.entries.get(_ORIENTATION))
    if kept.empty():
        return Cleaned(None, orientation, notes)
    if kept.size() > MOST_BYTES:
        return Cleaned(None, orientation, (*notes, TOO_LARGE))
    header = {"<": b"II*\0\x08\0\0\0", ">": b"MM\0*\0\0\0\x08"}[structure.order]
    folder = _folder(kept, structure.order, structure.order)
    return Cleaned(header + tiff.serialised(folder, structure.order, len(header)), orientation, notes)


def for_tiff(data: bytes, order: str) -> Folder | None:
    """What `cleaned` gave as tags and folders for a TIFF file's directory; None if they are too large together.

    order: "<" or ">", the byte order of that file.
    """
    structure = Structure(data)
    kept, _ = _sifted(structure)
    return None if kept.size() > MOST_BYTES else _folder(kept, structure.order, order)


def _sifted(structure: Structure) -> tuple[_Kept, tuple[str, ...]]:
    """What stays of the first directory and of its folders, and notes. Raises ValueError where there is none."""
    tables: list[range] = []
    notes: dict[str, None] = {}

    def sift(offset: int, pointer: int) -> _Kept:
        directory = structure.directory(offset)
        if any(directory.table.start < table.stop and table.start < directory.table.stop for table in tables):
            raise ValueError("two directories lie in the same place")
        tables.append(directory.table)
        if not directory.whole:
            notes["dropped damaged EXIF entries"] = None
        entries: dict[int, Entry] = {}
        below: dict[int, _Kept] = {}
        for tag, entry in directory.entries.items():
            if tag in _POINTERS[pointer]:
                try:
                    number = structure.number(entry)
                    if entry.kind not in (tiff.LONG, tiff.DIRECTORY) or number is None:
                        raise ValueError("points nowhere")
                    below[tag] = sift(number, tag)
                except ValueError:
                    notes["dropped damaged EXIF folders"] = None
            elif structure.wide and entry.kind in (16, 17, 18):
                notes["dropped EXIF entries of 64 bits"] = None
            elif pointer or _describes(structure, tag, entry):
                entries[tag] = entry
            elif tag in _DESCRIPTIVE:
                notes["dropped damaged EXIF entries"] = None
            elif tag >= _FIRST_PRIVATE and tag not in _CARRIED_APART:
                notes["dropped private tags of EXIF"] = None
        return _Kept(directory, entries, below)

    return sift(structure.first, 0), tuple(notes)


def _describes(structure: Structure, tag: int, entry: Entry) -> bool:
    """Whether this entry of the first directory is descriptive, and of the form that readers rely on."""
    if entry.kind not in _DESCRIPTIVE.get(tag, ()):
        return False
    if tag in _RESOLUTIONS:
        return entry.count == 1 and any(entry.value[4:])  # divided by 0 it would be none
    if tag == _RESOLUTION_UNIT:
        return entry.count == 1 and structure.number(entry) in (1, 2, 3)
    return True


def _thumbnail(structure: Structure, kept: _Kept) -> int:
    """Offset of a second directory that is sound and apart from the others, or 0."""
    offset = kept.directory.following
    try:
        table = structure.directory(offset).table
    except ValueError:
        return 0
    others = [folder.directory.table for folder in kept.all()]
    return 0 if any(table.start < other.stop and other.start < table.stop for other in others) else offset


def _rewrite_table(out: bytearray, order: str, kept: _Kept, following: int | None) -> None:
    """Close the gaps of entries that are gone. following: what comes after the table, None to leave it."""
    table = kept.directory.table
    stay = [entry.record for tag, entry in kept.directory.entries.items() if tag in kept.entries or tag in kept.below]
    packed = struct.pack(order + "H", len(stay)) + b"".join(stay)
    if following is None:
        out[table.start : table.stop] = packed.ljust(len(table), b"\0")
    else:
        packed += struct.pack(order + "I", following)
        out[table.start : table.stop + 4] = packed.ljust(len(table) + 4, b"\0")


def _folder(kept: _Kept, order: str, wanted: str) -> Folder:
    """The same in another byte order, ready to be written."""
    return Folder(
        {tag: tiff.reordered(entry, order, wanted) for tag, entry in kept.entries.items()},
        {tag: _folder(below, order, wanted) for tag, below in kept.below.items()},
    )
