"""What a TIFF file holds beside the pixels of its picture: metadata, and smaller copies on further pages."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from edgecodec import exif as exif_data
from edgecodec import tiff_structure as tiff
from edgecodec.tiff_structure import Directory, Entry, Folder, Structure

_XMP, _ICC = 700, 34675
_SUBFILE_TYPE, _OLD_SUBFILE_TYPE, _WIDTH, _HEIGHT = 254, 255, 256, 257
_REDUCED_COPY = 1  # bit of the one, value 2 of the other


def profile_and_xmp(structure: Structure) -> tuple[bytes | None, bytes | None]:
    """ICC profile and XMP of the first page, as they are stored. Raises ValueError for a damaged file."""
    entries = structure.directory(structure.first).entries
    return _bytes(entries.get(_ICC)), _bytes(entries.get(_XMP))


def added(file: bytes, exif: bytes | None, icc: bytes | None, xmp: bytes | None) -> tuple[bytes, tuple[str, ...]]:
    """A TIFF file of one page with these metadata as well, and notes. exif: cleaned EXIF data.

    The pixels and the tags that describe them stay as they are: a second copy of the directory, with more in it, is put
    behind them.
    """
    structure = Structure(file)
    of_pixels = structure.directory(structure.first).entries
    folder = None if exif is None else exif_data.for_tiff(exif, structure.order)
    descriptive = folder or Folder({})
    entries = {**descriptive.entries, **of_pixels}
    for tag, kind, data in ((_ICC, tiff.UNDEFINED, icc), (_XMP, tiff.BYTE, xmp)):
        if data is not None:
            entries[tag] = Entry(kind, len(data), memoryview(data))
    at = len(file) + len(file) % 2
    first = at.to_bytes(4, "little" if structure.order == "<" else "big")
    behind = tiff.serialised(Folder(entries, descriptive.folders), structure.order, at)
    notes = () if exif is None or folder else (exif_data.TOO_LARGE,)
    return b"".join((file[:4], first, file[8:], bytes(at - len(file)), behind)), notes


def reduced_copies(structure: Structure) -> int | None:
    """How many pages follow the first, if each of them is a smaller copy of it; None if any is a picture of its own.

    A page is a copy if it says so, or if its sides are half of those of the page before, as in a pyramid. Raises
    ValueError for a damaged file.
    """
    pages = list(structure.directories())
    copies = all(_is_copy(structure, page, before) for before, page in pairwise(pages))
    return len(pages) - 1 if copies else None


def _is_copy(structure: Structure, page: Directory, before: Directory) -> bool:
    kind = structure.number(page.entries.get(_SUBFILE_TYPE)) or 0
    if kind & _REDUCED_COPY or structure.number(page.entries.get(_OLD_SUBFILE_TYPE)) == 2:
        return True
    return all(
        _half(size, larger) for size, larger in zip(_size(structure, page), _size(structure, before), strict=True)
    )


def _size(structure: Structure, page: Directory) -> Sequence[int]:
    return [structure.number(page.entries.get(tag)) or 0 for tag in (_WIDTH, _HEIGHT)]


def _half(size: int, larger: int) -> bool:
    return size > 0 and size in (larger // 2, (larger + 1) // 2)


def _bytes(entry: Entry | None) -> bytes | None:
    return None if entry is None or entry.kind not in (tiff.BYTE, tiff.ASCII, tiff.UNDEFINED) else bytes(entry.value)
