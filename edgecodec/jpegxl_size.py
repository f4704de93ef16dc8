"""The size that a JPEG XL file states, for its plugin decodes the whole picture before it can be asked.

ISO/IEC 18181-1, annex D.1 (SizeHeader) and 18181-2, clause 9 (boxes).
"""

from __future__ import annotations

from edgecodec.errors import CannotRead

_SIGNATURE = b"\xff\x0a"
_RATIOS = {1: (1, 1), 2: (12, 10), 3: (4, 3), 4: (3, 2), 5: (16, 9), 6: (5, 4), 7: (2, 1)}  # width to height
_ENOUGH = 16  # bytes that hold the longest header of a size


def size_of(file: bytes) -> tuple[int, int]:
    """Width and height as stored, before any turn. Raises CannotRead."""
    start = _codestream(file)
    if not start.startswith(_SIGNATURE) or len(start) < 4:
        raise CannotRead("is a damaged picture: no size at the start of JPEG XL")
    bits = _Bits(int.from_bytes(start[2:].ljust(_ENOUGH, b"\0"), "little"))
    small = bits.take(1)
    height = _length(bits, small)
    if (ratio := bits.take(3)) == 0:
        return _length(bits, small), height
    across, down = _RATIOS[ratio]
    return height * across // down, height


class _Bits:
    """Taken from the lowest one on."""

    def __init__(self, value: int) -> None:
        self._value = value

    def take(self, count: int) -> int:
        taken = self._value & ((1 << count) - 1)
        self._value >>= count
        return taken


def _length(bits: _Bits, small: int) -> int:
    return (bits.take(5) + 1) * 8 if small else bits.take((9, 13, 18, 30)[bits.take(2)]) + 1


def _codestream(file: bytes) -> bytes:
    """Its first bytes, of a bare one or of the first box that holds some."""
    if file.startswith(_SIGNATURE):
        return file[:_ENOUGH]
    at = 0
    while at + 8 <= len(file):
        size, kind, head = int.from_bytes(file[at : at + 4], "big"), file[at + 4 : at + 8], 8
        if size == 1:  # the length is a long one
            size, head = int.from_bytes(file[at + 8 : at + 16], "big"), 16
        if kind in (b"jxlc", b"jxlp"):
            head += 4 if kind == b"jxlp" else 0  # the number of the part
            return file[at + head : at + head + _ENOUGH]
        if size < head:  # 0: to the end of the file
            break
        at += size
    return b""
