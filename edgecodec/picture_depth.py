"""What pictures hold beyond eight bits and the usual range of brightness, which is not coded: said, not silent.

Sources: ITU-T H.273 for primaries and transfer functions; AVIF's boxes: ISO/IEC 23008-12, 6.5.5 and 6.5.6; JPEG 2000's
sample depth: ITU-T T.800, A.5.1; gain maps: ISO 21496-1.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from edgecodec.picture_opening import Opened

_BOXED = ("AVIF", "HEIF")
_HDR = {16: "PQ", 18: "HLG"}  # transfer functions
_USUAL = {(1, 13), (1, 1), (1, 6), (2, 2), (2, 13)}  # primaries and transfer function of sRGB, BT.709 or unstated
_GAIN_MAP_OF_JPEG = (b"urn:iso:std:iso:ts:21496:-1", b"hdrgm:Version")
_BITS_PER_SAMPLE = 258  # TIFF's tag
_HEADER = 1 << 16  # bytes at the start of a JPEG file that are looked at


def notes(opened: Opened) -> list[str]:
    """Notes on what eight bits without a curve of brightness leave out. Called before the pixels are loaded."""
    found = []
    depth = _depth(opened)
    if depth > 8:
        found.append(f"reduced {depth}-bit samples to 8 bits")
    if (colours := _colours(opened)) is not None and colours not in _USUAL:
        primaries, transfer = colours
        if transfer in _HDR:
            found.append(f"left out that the picture is HDR ({_HDR[transfer]}): its samples are coded as they are")
        else:
            found.append(f"left out the description of colours (primaries {primaries}, transfer function {transfer})")
    if _has_gain_map(opened):
        found.append("left out the HDR gain map")
    return found


def grey_bits(opened: Opened) -> int:
    """Bits of a sample in Pillow's modes of 16 bits, which it fills but for one kind of TIFF file."""
    if opened.tiff is None:
        return 16
    entries = opened.tiff.directory(opened.tiff.first).entries
    return 12 if opened.tiff.number(entries.get(_BITS_PER_SAMPLE)) == 12 else 16


def _depth(opened: Opened) -> int:
    """Bits of a sample, where Pillow reduces them to eight; otherwise 8, also for modes of 16 bits."""
    image, file = opened.image, opened.file
    if image.mode == "I" or image.mode.startswith("I;16"):
        return 8
    if image.format == "JPEG2000":
        at = file.find(b"\xff\x4f\xff\x51")  # start of the codestream
        return (file[at + 42] & 0x7F) + 1 if 0 <= at < len(file) - 42 else 8
    if image.format == "HEIF":
        return int(image.info.get("bit_depth", 8))
    if image.format == "AVIF":
        return max((max(file[start + 5 : end], default=8) for start, end in _properties(file, b"pixi")), default=8)
    for decoder, _, _, layout in getattr(image, "tile", ()):
        layout = layout if isinstance(layout, tuple) else (layout,)
        if decoder.startswith("ppm") and len(layout) > 1:
            return int(layout[1]).bit_length()
        if layout and (bits := re.search(";(1[0-9])", str(layout[0]))):
            return int(bits[1])
    return 8


def _colours(opened: Opened) -> tuple[int, int] | None:
    """Primaries and transfer function (ITU-T H.273) that the file states by their numbers."""
    if opened.png is not None:
        return opened.png.colours
    if opened.image.format in _BOXED:
        for start, end in _properties(opened.file, b"colr"):
            if opened.file[start : start + 4] == b"nclx" and end - start >= 8:
                primaries, transfer = opened.file[start + 4 : start + 6], opened.file[start + 6 : start + 8]
                return int.from_bytes(primaries, "big"), int.from_bytes(transfer, "big")
    return None


def _has_gain_map(opened: Opened) -> bool:
    if opened.image.format in ("JPEG", "MPO"):
        return any(mark in opened.file[:_HEADER] for mark in _GAIN_MAP_OF_JPEG)
    return opened.image.format in _BOXED and b"tmap" in opened.file[: int.from_bytes(opened.file[:4], "big")][8:]


def _properties(file: bytes, kind: bytes) -> Iterator[tuple[int, int]]:
    """Where the contents of item properties of this kind lie."""
    level = [(0, len(file))]
    for box, head in ((b"meta", 4), (b"iprp", 0), (b"ipco", 0), (kind, 0)):
        level = [(start + head, end) for outer in level for name, start, end in _boxes(file, *outer) if name == box]
    yield from level


def _boxes(file: bytes, at: int, stop: int) -> Iterator[tuple[bytes, int, int]]:
    """Kind, start and end of the contents of the boxes between two offsets."""
    while at + 8 <= stop:
        size = int.from_bytes(file[at : at + 4], "big")
        if size < 8 or at + size > stop:  # 0 and 1 mean media data, which come last
            return
        yield file[at + 4 : at + 8], at + 8, at + size
        at += size
