"""What eight bits and the usual range of brightness cannot hold is reduced, but never without a word."""

from __future__ import annotations

import io
import struct
from typing import Any, cast

import numpy as np
import pytest
from PIL import Image, ImageFile, PngImagePlugin, features

from edgecodec import picture, picture_depth
from edgecodec.limits import Limits
from edgecodec.picture_opening import Opened
from support.png_files import png

PIXELS = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)


def _saved(picture_format: str, **options: Any) -> bytes:
    out = io.BytesIO()
    Image.fromarray(PIXELS).save(out, picture_format, **options)
    return out.getvalue()


def _notes(data: bytes) -> tuple[str, ...]:
    return picture.read(data, Limits(), "drop").notes


def _tiff_of_sixteen_bits() -> bytes:
    values = {256: 4, 257: 3, 258: 16, 259: 1, 262: 2, 273: 122, 277: 3, 278: 3, 279: 72}
    table = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in values.items())
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(values)) + table + bytes(4) + bytes(72)


def test_colours_of_sixteen_bits() -> None:
    reduced = ("reduced 16-bit samples to 8 bits",)
    assert _notes(png(4, 3, 16, 2, bytes(72))) == reduced
    assert _notes(png(4, 3, 16, 4, bytes(48))) == (*reduced, "transparency: drop")
    assert _notes(_tiff_of_sixteen_bits()) == reduced
    assert _notes(b"P6 4 3 65535\n" + bytes(72)) == reduced
    assert _notes(b"P6 4 3 1023\n" + bytes(72)) == ("reduced 10-bit samples to 8 bits",)


def test_grey_of_twelve_bits_is_as_bright_as_any() -> None:
    """Pillow reads it into 16 bits and fills 12 of them."""
    samples = np.array([0, 1, 8, 9, 2047, 2048, 4094, 4095])
    bits = np.unpackbits(samples.astype(">u2").view(np.uint8).reshape(8, 2), axis=1)[:, 4:]
    values = {256: 8, 257: 1, 258: 12, 259: 1, 262: 1, 273: 122, 277: 1, 278: 1, 279: 12}
    table = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in values.items())
    file = b"II*\0\x08\0\0\0" + struct.pack("<H", len(values)) + table + bytes(4) + np.packbits(bits).tobytes()
    read = picture.read(file, Limits())
    np.testing.assert_array_equal(read.pixels, np.floor(samples[None] / 4095 * 255 + 0.5))
    assert read.notes == ("rounded 12-bit samples to 8 bits",)


@pytest.mark.skipif(not features.check("jpg_2000"), reason="a Pillow without JPEG 2000")
def test_jpeg_2000_of_more_bits() -> None:
    data = bytearray(_saved("JPEG2000", no_jp2=True))
    assert _notes(bytes(data)) == ()
    at = data.index(b"\xff\x51") + 40
    assert data[at] == 7
    for component in range(3):
        data[at + 3 * component] = 11
    assert _notes(bytes(data)) == ("reduced 12-bit samples to 8 bits",)


@pytest.mark.parametrize(
    ("colours", "expected"),
    [
        ((1, 13), ()),
        ((9, 16), ("left out that the picture is HDR (PQ): its samples are coded as they are",)),
        ((9, 18), ("left out that the picture is HDR (HLG): its samples are coded as they are",)),
        ((12, 13), ("left out the description of colours (primaries 12, transfer function 13)",)),
    ],
)
def test_colours_that_a_png_states_by_number(colours: tuple[int, int], expected: tuple[str, ...]) -> None:
    chunks = PngImagePlugin.PngInfo()
    chunks.add(b"cICP", bytes((*colours, 0, 1)))
    assert _notes(_saved("PNG", pnginfo=chunks)) == expected


@pytest.mark.skipif(not features.check("avif"), reason="a Pillow without AVIF")
def test_avif() -> None:
    data = _saved("AVIF")
    assert _notes(data) == ()
    hdr = data.replace(b"nclx" + bytes((0, 1, 0, 13)), b"nclx" + bytes((0, 9, 0, 16)))
    assert _notes(hdr) == ("left out that the picture is HDR (PQ): its samples are coded as they are",)
    deep = data.replace(b"pixi" + bytes((0, 0, 0, 0, 3, 8, 8, 8)), b"pixi" + bytes((0, 0, 0, 0, 3, 10, 10, 10)))
    assert deep != data
    with Image.open(io.BytesIO(data)) as image:  # the codestream would have to be of 10 bits as well
        opened = Opened(cast(ImageFile.ImageFile, image), deep, None, None, ())
        assert picture_depth.notes(opened) == ["reduced 10-bit samples to 8 bits"]


@pytest.mark.parametrize("mark", [b"urn:iso:std:iso:ts:21496:-1\0", b'<x hdrgm:Version="1.0"/>'])
def test_gain_maps(mark: bytes) -> None:
    data = _saved("JPEG")
    assert _notes(data) == ()
    segment = b"\xff\xe2" + struct.pack(">H", len(mark) + 2) + mark
    assert _notes(data[:2] + segment + data[2:]) == ("left out the HDR gain map",)


def test_further_pictures_in_a_jpeg() -> None:
    data = _saved("MPO", save_all=True, append_images=[Image.new("RGB", (16, 16))])
    assert _notes(data) == ("left out 1 further pictures of a multi-picture file",)
