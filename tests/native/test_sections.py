"""The fields and sections of a coded picture: what writers and readers must refuse, and what readers skip."""

from __future__ import annotations

import struct
import zlib
from typing import Any

import pytest

from edgecodec import container
from edgecodec.errors import Corrupt, EdgecodecError, InvalidArgument, UnsupportedVersion

ICC, SKIPPED, CRITICAL = 1, 77, 200


def coded(*sections: tuple[int, bytes]) -> bytes:
    """A picture of 5x7 pixels with these sections and a payload of three bytes, written after docs/format.md."""
    head = b"\xec\xdc" + bytes([1 | 1 << 7]) + bytes([5, 7]) + bytes.fromhex("04030201")
    body = head + b"".join(bytes([tag, len(data)]) + data for tag, data in sections) + b"\0abc"
    return body + struct.pack("<I", zlib.crc32(body))


def test_an_unknown_section_is_skipped_also_when_it_is_the_only_one() -> None:
    assert container.parse(coded((SKIPPED, b"whatever"))).payload.tobytes() == b"abc"
    parsed = container.parse(coded((SKIPPED, b""), (ICC, b"profile")))
    assert (parsed.icc, parsed.payload.tobytes()) == (b"profile", b"abc")


@pytest.mark.parametrize("tag", [ICC, SKIPPED])
def test_a_section_that_comes_twice_is_refused(tag: int) -> None:
    with pytest.raises(Corrupt, match="twice"):
        container.parse(coded((tag, b"one"), (tag, b"two")))


@pytest.mark.parametrize("tag", [129, 130, 191, 192, CRITICAL, 254, 255])
def test_a_section_that_must_be_understood_is_refused_as_newer(tag: int) -> None:
    with pytest.raises(UnsupportedVersion, match="newer version"):
        container.parse(coded((tag, b"")))


@pytest.mark.parametrize("tag", [4, 5, 64, 126, 127])
def test_a_section_that_may_be_skipped_is(tag: int) -> None:
    """Every tag below 128 that has no meaning yet."""
    assert container.parse(coded((tag, b"later"))).payload.tobytes() == b"abc"


def sized(width: bytes) -> bytes:
    """A picture whose width is spelled out like this."""
    body = b"\xec\xdc\x01" + width + b"\x07" + bytes.fromhex("04030201") + b"abc"
    return body + struct.pack("<I", zlib.crc32(body))


def test_numbers_have_one_spelling() -> None:
    assert container.parse(sized(b"\x05")).info.width == 5
    assert container.parse(sized(b"\xff\xff\x03")).info.width == 65535
    for width, problem in (
        (b"\x85\x00", "not in its shortest form"),
        (b"\x85\x80\x00", "not in its shortest form"),
        (b"\x85\x80\x80\x80\x10", "too large"),  # 2^32 + 5
        (b"\x85\x80\x80\x80\x70", "too large"),
        (b"\x85\x80\x80\x80\x80\x01", "too long"),
        (b"\x80\x80\x04", "side out of range"),  # 65536
        (b"\x00", "side out of range"),
    ):
        with pytest.raises(Corrupt, match=problem):
            container.parse(sized(width))


WRITTEN: dict[str, Any] = {"width": 5, "height": 7, "lanes": 2, "model_id": "01020304", "quality": 1.5}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *((side, value) for side in ("width", "height") for value in (-1, 0, 65536, 2**32 + 10, -(2**32) + 10)),
        *(("lanes", value) for value in (0, 3, 2**32 + 2)),
        *(("quality", value) for value in (-1.0, 2.0**26, float("inf"), float("nan"))),
        *(("model_id", value) for value in ("", "xyzxyzxy", "101020304", "0x010203", " 1020304")),
    ],
)
def test_what_the_format_cannot_hold_is_not_written(field: str, value: Any) -> None:
    assert container.parse(container.write(b"abc", **WRITTEN)).info.quality == 1.5
    with pytest.raises(InvalidArgument):
        container.write(b"abc", **{**WRITTEN, field: value})


@pytest.mark.parametrize("quality", [0.0, 1 / 64, (2**32 - 1) / 64])
def test_every_quality_that_the_format_holds_is_written(quality: float) -> None:
    assert container.parse(container.write(b"abc", **{**WRITTEN, "quality": quality})).info.quality == quality


@pytest.mark.parametrize("data", [coded(), coded((ICC, b"cut")).replace(b"\x01\x03cut", b"\x01\x7fcut")])
def test_sections_that_are_promised_and_missing_are_refused(data: bytes) -> None:
    body = data[:-4]
    with pytest.raises(EdgecodecError) as refused:
        container.parse(body + struct.pack("<I", zlib.crc32(body)))
    assert isinstance(refused.value, Corrupt)
