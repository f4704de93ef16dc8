"""Directories of TIFF files and of EXIF data: what is none is a ValueError, what is one is read to its last byte."""

from __future__ import annotations

import struct

import pytest

from edgecodec import exif
from edgecodec.tiff_structure import Structure
from support.exif_data import exif_data, text

SHORT, LONG8, SIGNED_LONG8, DIRECTORY8 = 3, 16, 17, 18
TEXT = text(0x013B, "someone")


def chain(count: int) -> bytes:
    """A TIFF header and so many directories without entries, each with the offset of the next."""
    offsets = [8 + 6 * number for number in range(1, count)]
    return b"II*\0\x08\0\0\0" + b"".join(struct.pack("<HI", 0, offset) for offset in [*offsets, 0])


def wide(kind: int) -> bytes:
    """A TIFF file of the 64-bit layout with one value of this type: 7."""
    return b"II" + struct.pack("<HHHQ", 43, 8, 0, 16) + struct.pack("<QHHQQQ", 1, 0x9999, kind, 1, 7, 0)


@pytest.mark.parametrize(
    "data",
    [b"", b"II*", chain(1)[:7], b"XX" + chain(1)[2:], b"II\x07" + chain(1)[3:], wide(SHORT)[:15]],
    ids=["empty", "two letters", "no offset", "no byte order", "another number", "half an offset of 64 bits"],
)
def test_what_has_no_header_is_unreadable(data: bytes) -> None:
    with pytest.raises(ValueError, match="no TIFF header"):
        Structure(data)
    assert exif.cleaned(data) == (None, None, (exif.UNREADABLE,))


def test_a_directory_may_end_with_the_data() -> None:
    """Without the offset of a next one it is the last; with it, it is not."""
    last = Structure(chain(1)[:10])
    assert last.directory(8).following == 0 and len(list(last.directories())) == 1
    backwards = Structure(b"II*\0\x0e\0\0\0" + struct.pack("<HIHI", 0, 0, 0, 8))
    assert backwards.directory(14).following == 8 and len(list(backwards.directories())) == 2


def test_a_chain_of_directories_has_a_limit() -> None:
    assert len(list(Structure(chain(10000)).directories())) == 10000
    with pytest.raises(ValueError, match="no end"):
        list(Structure(chain(10001)).directories())


def test_values_of_64_bits_are_those_of_the_64_bit_layout() -> None:
    for kind, number in ((SHORT, 7), (LONG8, 7), (SIGNED_LONG8, None), (DIRECTORY8, 7)):
        structure = Structure(wide(kind))
        directory = structure.directory(structure.first)
        assert directory.whole and structure.number(directory.entries[0x9999]) == number
    narrow = Structure(exif_data(TEXT)[:8] + struct.pack("<HHHII", 1, 0x9999, LONG8, 1, 8) + bytes(4))
    assert not narrow.directory(8).whole and not narrow.directory(8).entries


def test_entries_of_64_bits_are_dropped_and_said_so() -> None:
    read = exif.of_tiff(Structure(wide(LONG8)))
    assert read.notes == ("dropped EXIF entries of 64 bits",)


@pytest.mark.parametrize("order", ["<", ">"])
def test_metadata_as_large_as_may_be_are_carried(order: str) -> None:
    for size, fits in ((exif.MOST_BYTES, True), (exif.MOST_BYTES + 1, False)):
        data = exif_data(text(0x013B, "x" * (size - 1)), order=order)
        assert (exif.for_tiff(data, order) is not None) == fits
        assert exif.of_tiff(Structure(data)).notes == (() if fits else (exif.TOO_LARGE,))
