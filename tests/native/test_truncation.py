"""A file that ends too early, or goes on too long, is an error at every length."""

from __future__ import annotations

import pytest

import edgecodec
from edgecodec.codec import Codec
from edgecodec.errors import Corrupt, NotEdgc

MAGIC = 2  # bytes


def test_every_prefix(codec: Codec, coded: bytes) -> None:
    for length in range(len(coded)):
        with pytest.raises(NotEdgc if length < MAGIC else Corrupt):
            codec.decode(coded[:length])


def test_every_prefix_is_refused_by_inspect(coded: bytes) -> None:
    for length in range(len(coded)):
        with pytest.raises(NotEdgc if length < MAGIC else Corrupt):
            edgecodec.inspect(coded[:length])


@pytest.mark.parametrize("tail", [b"\0", b"\xff", b"\0" * 64], ids=["zero", "ones", "long"])
def test_trailing_bytes(codec: Codec, coded: bytes, tail: bytes) -> None:
    with pytest.raises(Corrupt):
        codec.decode(coded + tail)


def test_the_whole_file_decodes(codec: Codec, coded: bytes) -> None:
    assert codec.decode(coded).pixels.shape == (64, 96, 3)
