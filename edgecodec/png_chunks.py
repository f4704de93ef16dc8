"""Chunks of PNG files: those with metadata are read here, the others are Pillow's, whose limits on text are not ours.

Source: PNG specification, third edition, sections 5 and 11.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field

SIGNATURE = b"\x89PNG\r\n\x1a\n"
XMP_KEYWORD = b"XML:com.adobe.xmp"
_EXIF_KEYWORD = b"Raw profile type exif"  # in text, from before there was a chunk for it

DAMAGED = "dropped damaged metadata"


@dataclass
class Chunks:
    """pixels: the file without the chunks of metadata. sixteen_bits: of its samples.

    icc, exif, xmp: bytes or None. colours: primaries and transfer function of the chunk cICP (ITU-T H.273), or None.
    notes: what is neither in the one nor in the others.
    """

    pixels: bytes
    sixteen_bits: bool = False
    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    colours: tuple[int, int] | None = None
    notes: list[str] = field(default_factory=list)


def split(file: bytes, most_bytes: int) -> Chunks:
    """Take a file that starts with SIGNATURE apart. Chunks that unpack to more than `most_bytes` are left out."""
    chunks = Chunks(file, sixteen_bits=file[24:25] == b"\x10")
    kept: list[bytes] = []
    start = at = len(SIGNATURE)
    while at + 12 <= len(file):
        size, kind = int.from_bytes(file[at : at + 4], "big"), file[at + 4 : at + 8]
        end = at + 12 + size
        if end > len(file):
            break
        if kind in (b"iCCP", b"eXIf", b"tEXt", b"zTXt", b"iTXt", b"cICP"):
            kept.append(file[start:at])
            start = end
            if zlib.crc32(file[at + 4 : end - 4]) != int.from_bytes(file[end - 4 : end], "big"):
                _say(chunks, DAMAGED)
            else:
                _take(chunks, kind, file[at + 8 : end - 4], most_bytes)
        at = end
        if kind == b"IEND":
            break
    if kept:
        chunks.pixels = b"".join((SIGNATURE, *kept, file[start:]))
    return chunks


def _take(chunks: Chunks, kind: bytes, data: bytes, most_bytes: int) -> None:
    """Of several of a kind the first counts."""
    try:
        if kind == b"cICP":
            chunks.colours = chunks.colours or (data[0], data[1])
        elif kind == b"eXIf":
            chunks.exif = chunks.exif or data
        elif kind == b"iCCP":
            _, packed = data.split(b"\0", 1)
            chunks.icc = chunks.icc or _unpacked(packed[1:], most_bytes)
        else:
            _take_text(chunks, kind, data, most_bytes)
    except _TooLarge:
        _say(chunks, f"dropped {'an ICC profile' if kind == b'iCCP' else 'text'} of more than {most_bytes >> 20} MiB")
    except (ValueError, IndexError, zlib.error):
        _say(chunks, DAMAGED)


def _take_text(chunks: Chunks, kind: bytes, data: bytes, most_bytes: int) -> None:
    keyword, text = data.split(b"\0", 1)
    if keyword == XMP_KEYWORD and kind == b"iTXt":
        packed, (_, _, text) = text[0], text[2:].split(b"\0", 2)
        chunks.xmp = chunks.xmp or (_unpacked(text, most_bytes) if packed else text)
    elif keyword == _EXIF_KEYWORD and kind in (b"tEXt", b"zTXt"):
        text = _unpacked(text[1:], most_bytes) if kind == b"zTXt" else text
        # An empty line, the kind, the length, and lines of hexadecimal digits.
        chunks.exif = chunks.exif or bytes.fromhex(b"".join(text.split(b"\n")[3:]).decode("ascii"))
    else:
        _say(chunks, "dropped text comments")


class _TooLarge(Exception):
    pass


def _unpacked(data: bytes, most_bytes: int) -> bytes:
    unpacker = zlib.decompressobj()
    unpacked = unpacker.decompress(data, most_bytes)
    if unpacker.unconsumed_tail:
        raise _TooLarge
    if not unpacker.eof:
        raise ValueError("truncated")
    return unpacked


def _say(chunks: Chunks, note: str) -> None:
    if note not in chunks.notes:
        chunks.notes.append(note)
