"""Damage with a valid CRC, as an attacker would make it: a typed error or a picture, and never a wrong picture."""

from __future__ import annotations

import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import edgecodec
from edgecodec import container
from edgecodec.codec import Codec
from edgecodec.entropy_model import EntropyModel
from edgecodec.errors import Corrupt, EdgecodecError, InternalError, LatentsDiffer
from support.paths import TINY

CRC = 4  # bytes
LIMITS = edgecodec.Limits(max_pixels=1 << 16)


def _sealed(body: bytes | bytearray) -> bytes:
    return bytes(body) + zlib.crc32(body).to_bytes(CRC, "little")


@pytest.fixture(scope="module")
def careful() -> Codec:
    """The stub engine, so that thousands of pictures take no time, and a limit, since any size may be claimed."""
    return edgecodec.open_bundle(TINY, engine="stub", threads=1, limits=LIMITS)


def _decode_or_typed_error(codec: Codec, data: bytes) -> None:
    try:
        decoded = codec.decode(data)
    except InternalError:
        raise
    except EdgecodecError:
        return
    info = decoded.info
    assert decoded.pixels.shape == ((info.height, info.width) if info.greyscale else (info.height, info.width, 3))


def test_sealing_an_untouched_body_gives_the_file(coded: bytes) -> None:
    assert _sealed(coded[:-CRC]) == coded


def test_every_bit_of_the_payload(careful: Codec, coded: bytes) -> None:
    """The digest in the coder's states notices whatever still parses."""
    start = len(coded) - CRC - container.parse(coded).info.payload_bytes
    damaged = bytearray(coded[:-CRC])
    for bit in range(8 * start, 8 * len(damaged)):
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises((Corrupt, LatentsDiffer)):
            careful.decode_latents(_sealed(damaged))
        damaged[bit // 8] ^= 1 << bit % 8


def test_every_bit_of_the_header(careful: Codec, coded: bytes) -> None:
    start = len(coded) - CRC - container.parse(coded).info.payload_bytes
    damaged = bytearray(coded[:-CRC])
    for bit in range(8 * start):
        damaged[bit // 8] ^= 1 << bit % 8
        _decode_or_typed_error(careful, _sealed(damaged))
        damaged[bit // 8] ^= 1 << bit % 8


def test_every_prefix(careful: Codec, coded: bytes) -> None:
    for length in range(len(coded) - CRC):
        with pytest.raises(EdgecodecError) as refused:
            careful.decode(_sealed(coded[:length]))
        assert not isinstance(refused.value, InternalError)


@settings(max_examples=300)
@given(data=st.data())
def test_spliced_and_overwritten(careful: Codec, coded: bytes, data: st.DataObject) -> None:
    body = bytearray(coded[:-CRC])
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(body)))
        end = data.draw(st.integers(start, min(len(body), start + 16)))
        body[start:end] = data.draw(st.binary(max_size=16))
    _decode_or_typed_error(careful, _sealed(body))


@settings(max_examples=300)
@given(tail=st.binary(max_size=200), head=st.integers(0, 255).map(lambda head: head & ~7))
def test_noise_behind_a_valid_magic(careful: Codec, head: int, tail: bytes) -> None:
    _decode_or_typed_error(careful, _sealed(b"\xec\xdc" + bytes([head]) + tail))


def test_a_swapped_pair_of_symbols_is_noticed(careful: Codec, coded: bytes) -> None:
    """The digest depends on order: a coder fed other latents gives another file."""
    latents = careful.decode_latents(coded)
    swapped = {name: latent.copy() for name, latent in latents.items()}
    flat = swapped["r"].reshape(-1)
    first = int(np.flatnonzero(flat != flat[0])[0])
    flat[0], flat[first] = flat[first], flat[0]
    info = container.parse(coded).info
    model = EntropyModel((TINY / "entropy.bin").read_bytes())
    right, _ = model.encode(latents, width=info.width, height=info.height, lanes=info.lanes)
    wrong, _ = model.encode(swapped, width=info.width, height=info.height, lanes=info.lanes)
    assert right == bytes(container.parse(coded).payload) != wrong
