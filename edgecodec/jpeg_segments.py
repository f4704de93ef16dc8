"""EXIF data of JPEG files, read without Pillow, which opens no picture whose EXIF resolution it does not understand.

Source: ITU-T T.81, annex B.1.1; Exif 3.0, section 4.5.5.
"""

from __future__ import annotations

from edgecodec.exif import PREFIX

START = b"\xff\xd8\xff"

_STANDALONE = {0x01, *range(0xD0, 0xD8)}  # markers without a length
_APP1, _END, _SCAN = 0xE1, 0xD9, 0xDA
_UNKNOWN = b"exif\0\0"  # of no meaning to anybody


def split(file: bytes) -> tuple[bytes, bytes | None]:
    """A file that starts with START as long as it was, in which no EXIF data are found, and those data or None."""
    segments = [at for at in _segments(file) if file[at + 4 : at + 4 + len(PREFIX)] == PREFIX]
    if not segments:
        return file, None
    hidden = bytearray(file)
    exif = b""
    for at in segments:
        start = at + 4 + len(PREFIX)
        hidden[at + 4 : start] = _UNKNOWN
        exif += file[start : at + 2 + int.from_bytes(file[at + 2 : at + 4], "big")]
    return bytes(hidden), exif


def _segments(file: bytes) -> list[int]:
    """Where the segments of kind APP1 in front of the first scan start."""
    found = []
    at = 2
    while at + 4 <= len(file) and file[at] == 0xFF and (marker := file[at + 1]) not in (_SCAN, _END):
        if marker == 0xFF:  # padding
            at += 1
        elif marker in _STANDALONE:
            at += 2
        else:
            if marker == _APP1:
                found.append(at)
            at += 2 + int.from_bytes(file[at + 2 : at + 4], "big")
    return found
