"""Limits on what is decoded or encoded, checked before anything of that size is allocated."""

from __future__ import annotations

import ctypes
from dataclasses import asdict, dataclass

from edgecodec import interface, native

#: Largest side the format can hold (docs/format.md, section 1).
MAX_SIDE = 65535
_LARGEST = (1 << 64) - 1


@dataclass(frozen=True)
class Limits:
    """Upper bounds for one picture.

    max_pixels: width times height. max_side: the longer side in pixels. max_file_bytes: the coded picture, or the
    picture file that is to be encoded, as bytes on disk. max_pixels_per_byte: of a coded picture, so that a few bytes
    cannot ask for minutes of work; a large picture of one colour has up to 1500, one label over all of it 134,000.

        >>> small = edgecodec.open_bundle("hific.bundle", limits=edgecodec.Limits(max_pixels=1000))
        >>> small.decode("photo.edgc")
        Traceback (most recent call last):
        edgecodec.errors.LimitExceeded: ...
    """

    max_pixels: int = 1 << 28
    max_side: int = MAX_SIDE
    max_file_bytes: int = 1 << 30
    max_pixels_per_byte: int = 1 << 18

    def check_size(self, width: int, height: int) -> None:
        """Raise LimitExceeded if a picture of this size, in pixels, is too large."""
        native.call(native.library().ec_core_check_size, ctypes.byref(self.struct()), width, height)

    def struct(self) -> interface.Limits:
        """For the native library, in which 0 stands for the default."""
        return interface.Limits(**{name: min(max(value, 1), _LARGEST) for name, value in asdict(self).items()})

    def check_bytes(self, size: int) -> None:
        """Raise LimitExceeded if a file of this many bytes is too large."""
        native.call(native.library().ec_core_check_bytes, ctypes.byref(self.struct()), size)


#: No limit that a real file could reach, for inspection.
ANY = Limits(max_pixels=MAX_SIDE * MAX_SIDE, max_file_bytes=1 << 40, max_pixels_per_byte=MAX_SIDE * MAX_SIDE)
