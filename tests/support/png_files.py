"""Writes PNG files of any bit depth; Pillow reads them all but cannot write them all."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import numpy.typing as npt


def grey_png(samples: npt.NDArray[np.integer], depth: int, transparent: int | None = None) -> bytes:
    """A greyscale PNG (height, width) with `depth` bits a sample; one value may be transparent."""
    height, width = samples.shape
    wide = samples.astype(">u2")[:, :, None].view(np.uint8)
    bits = np.unpackbits(wide, axis=2)[:, :, -depth:].reshape(height, width * depth)
    sample = None if transparent is None else struct.pack(">H", transparent)
    return png(width, height, depth, 0, np.packbits(bits, axis=1).tobytes(), sample)


def png(width: int, height: int, depth: int, kind: int, pixels: bytes, transparent: bytes | None = None) -> bytes:
    """kind: 0 for greyscale, 2 for colours. pixels: packed rows. transparent: one pixel's samples in 16 bits each."""
    size = len(pixels) // height
    rows = b"".join(b"\0" + pixels[i * size : (i + 1) * size] for i in range(height))
    chunks = [_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0))]
    if transparent is not None:
        chunks.append(_chunk(b"tRNS", transparent))
    return b"\x89PNG\r\n\x1a\n" + b"".join((*chunks, _chunk(b"IDAT", zlib.compress(rows)), _chunk(b"IEND", b"")))


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
