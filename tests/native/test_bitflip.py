"""A single wrong bit anywhere in a file is always noticed, and named for what it hit."""

from __future__ import annotations

import pytest

from edgecodec.codec import Codec
from edgecodec.errors import Corrupt, EdgecodecError, NotEdgc, UnsupportedVersion

MAGIC_BITS = 16
VERSION_BITS = 3


def _expected(bit: int) -> type[EdgecodecError]:
    if bit < MAGIC_BITS:
        return NotEdgc
    return UnsupportedVersion if bit < MAGIC_BITS + VERSION_BITS else Corrupt


def test_every_single_bit(codec: Codec, coded: bytes) -> None:
    damaged = bytearray(coded)
    for bit in range(8 * len(coded)):
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(_expected(bit)):
            codec.decode(damaged)
        damaged[bit // 8] ^= 1 << bit % 8
    assert damaged == coded
