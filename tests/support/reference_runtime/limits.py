"""Limits on what is decoded or encoded."""

from __future__ import annotations

from dataclasses import dataclass

from edgecodec.errors import LimitExceeded

#: Largest side the format can hold (docs/format.md, section 1).
MAX_SIDE = 65535


@dataclass(frozen=True)
class Limits:
    """Upper bounds for one picture, in pixels and bytes."""

    max_pixels: int = 1 << 28
    max_side: int = MAX_SIDE
    max_file_bytes: int = 1 << 30
    max_pixels_per_byte: int = 1 << 18

    def check_size(self, width: int, height: int) -> None:
        """Raise LimitExceeded if a picture of this size, in pixels, is too large."""
        side = min(self.max_side, MAX_SIDE)
        if max(width, height) > side:
            raise LimitExceeded(f"{width}x{height} is longer than the limit of {side} pixels a side")
        if width * height > self.max_pixels:
            raise LimitExceeded(
                f"{width}x{height} is more than the limit of {self.max_pixels} pixels",
                hint="raise max_pixels if the picture is meant to be this large",
            )

    def check_ratio(self, width: int, height: int, size: int) -> None:
        """Raise LimitExceeded if a coded picture of `size` bytes has too many pixels for its bytes."""
        if width * height > self.max_pixels_per_byte * size:
            raise LimitExceeded(
                f"{width}x{height} pixels in {size} bytes are more than {self.max_pixels_per_byte} pixels a byte",
                hint="raise max_pixels_per_byte if the file is trusted",
            )

    def check_bytes(self, size: int) -> None:
        """Raise LimitExceeded if a file of this many bytes is too large."""
        if size > self.max_file_bytes:
            raise LimitExceeded(f"the file is larger than the limit of {self.max_file_bytes} bytes")
