"""Limits are checked before anything of that size exists, and never for inspection."""

from __future__ import annotations

import io
import re
import resource
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import edgecodec
from edgecodec import container
from edgecodec.errors import Corrupt, LimitExceeded
from edgecodec.limits import Limits
from support.paths import TINY

MEBIBYTE = 1 << 20


@contextmanager
def room_for(size: int) -> Iterator[None]:
    """The process can take so many bytes of memory more, for Python and for the library."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    (pages,) = re.findall(r"^\d+", Path("/proc/self/statm").read_text())
    resource.setrlimit(resource.RLIMIT_AS, (int(pages) * resource.getpagesize() + size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has statm")
def test_little_room_is_noticed() -> None:
    """Or the test below would pass for nothing."""
    with room_for(16 * MEBIBYTE), pytest.raises(MemoryError):
        bytearray(512 * MEBIBYTE)


def _claiming(coded: bytes, width: int, height: int) -> bytes:
    """A file that says it is this large, around the payload of a small one."""
    file = container.parse(coded)
    return container.write(file.payload, width=width, height=height, lanes=file.info.lanes, model_id=file.info.model_id)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has statm")
@pytest.mark.parametrize(("width", "height"), [(65535, 65535), (65535, 1), (4000, 4000)])
def test_a_claimed_size_allocates_nothing(coded: bytes, width: int, height: int) -> None:
    codec = edgecodec.open_bundle(TINY, "stub", limits=Limits(max_pixels=MEBIBYTE, max_side=8192))
    bomb = _claiming(coded, width, height)
    with room_for(16 * MEBIBYTE), pytest.raises(LimitExceeded) as caught:
        codec.decode(bomb)
    assert f"{width}x{height}" in str(caught.value)


def test_the_default_limit_refuses_the_largest_claim(coded: bytes) -> None:
    codec = edgecodec.open_bundle(TINY, "stub")
    with pytest.raises(LimitExceeded) as caught:
        codec.decode(_claiming(coded, 65535, 65535))
    assert "max_pixels" in (caught.value.hint or "")


def test_exactly_at_the_limit(coded: bytes) -> None:
    assert edgecodec.open_bundle(TINY, "stub", limits=Limits(max_pixels=64 * 96, max_side=96)).decode(coded)
    for limits in (Limits(max_pixels=64 * 96 - 1), Limits(max_side=95)):
        with pytest.raises(LimitExceeded):
            edgecodec.open_bundle(TINY, "stub", limits=limits).decode(coded)


def test_few_bytes_cannot_claim_many_pixels(coded: bytes) -> None:
    """The ratio is exact: a file may have that many pixels a byte, and not one more."""
    width, height = 4096, 4000
    bomb = _claiming(coded, width, height)
    ratio = -(-width * height // len(bomb))
    with pytest.raises(LimitExceeded, match=r"pixels a byte.*max_pixels_per_byte"):
        edgecodec.open_bundle(TINY, "stub", limits=Limits(max_pixels_per_byte=ratio - 1)).decode(bomb)
    with pytest.raises(Corrupt):  # the payload is one of a smaller picture
        edgecodec.open_bundle(TINY, "stub", limits=Limits(max_pixels_per_byte=ratio)).decode(bomb)


def test_inspection_has_no_limits(coded: bytes) -> None:
    info = edgecodec.inspect(_claiming(coded, 65535, 65535))
    assert isinstance(info, container.FileInfo) and (info.width, info.height) == (65535, 65535)


def test_buffers_are_measured_in_bytes(coded: bytes) -> None:
    codec = edgecodec.open_bundle(TINY, "stub", limits=Limits(max_file_bytes=MEBIBYTE))
    for large in (bytes(MEBIBYTE + 8), memoryview(np.zeros(MEBIBYTE // 8 + 1).data)):
        with pytest.raises(LimitExceeded, match="larger than the limit"):
            codec.decode(large)


def test_a_file_may_have_exactly_the_bytes_of_the_limit(coded: bytes) -> None:
    assert edgecodec.open_bundle(TINY, "stub", limits=Limits(max_file_bytes=len(coded))).decode(coded)
    with pytest.raises(LimitExceeded, match="larger than the limit"):
        edgecodec.open_bundle(TINY, "stub", limits=Limits(max_file_bytes=len(coded) - 1)).decode(coded)


def test_encoding_checks_before_the_picture_is_read() -> None:
    """A PNG of 8000x8000 pixels in a few bytes: its header alone must do."""
    header = io.BytesIO()
    Image.new("L", (1, 1)).save(header, "PNG")
    picture = bytearray(header.getvalue())
    picture[16:24] = (8000).to_bytes(4, "big") * 2
    picture[29:33] = zlib.crc32(picture[12:29]).to_bytes(4, "big")
    with pytest.raises(LimitExceeded, match="8000x8000"):
        edgecodec.open_bundle(TINY, "stub", limits=Limits(max_pixels=MEBIBYTE)).encode(bytes(picture))


def test_sides_beyond_the_format_are_refused_whatever_the_caller_allows() -> None:
    codec = edgecodec.open_bundle(TINY, "stub", limits=Limits(max_side=1 << 20))
    with pytest.raises(LimitExceeded, match="65535"):
        codec.encode(np.zeros((1, 65536), np.uint8))


def test_long_files_are_not_read_whole(tmp_path: Path) -> None:
    with open(tmp_path / "long.edgc", "wb") as file:
        file.truncate(1 << 40)
    codec = edgecodec.open_bundle(TINY, "stub", limits=Limits(max_file_bytes=MEBIBYTE))
    with pytest.raises(LimitExceeded) as caught:
        codec.decode(tmp_path / "long.edgc")
    assert caught.value.where == str(tmp_path / "long.edgc")
