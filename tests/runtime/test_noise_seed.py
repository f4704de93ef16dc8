"""A file names its noise, so that it names its picture; a reader that does not know noise refuses it."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
import pytest

import edgecodec
from edgecodec import container
from edgecodec.codec import Codec
from edgecodec.errors import BadModel, Corrupt, InvalidArgument, KnobUnavailable, OutOfMemory
from edgecodec.noise import ONE, normal_noise
from support.make_bundles import BLOCK, plain, synthesised, with_noise

GREY = np.full((20, 36, 3), 128, np.uint8)
ROWS, COLUMNS = 3, 5
SEEDS = [0, 1, 255, 1 << 63, (1 << 64) - 1]


@pytest.fixture
def codec(tmp_path: Path) -> Codec:
    return edgecodec.open_bundle(with_noise(5).write(tmp_path / "noisy.bundle"), "onnxruntime", threads=1)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_picture_has_the_noise_of_its_seed(codec: Codec, seed: int) -> None:
    encoded = codec.encode(GREY, seed=seed)
    noise = 8 / ONE * normal_noise(seed, 5, ROWS, COLUMNS)[:3].astype(np.float32)
    decoded = codec.decode(encoded.data)
    assert encoded.info.noise_seed == decoded.info.noise_seed == seed
    np.testing.assert_array_equal(decoded.pixels, synthesised(noise)[:20, :36])


def test_without_a_seed_it_is_zero_and_costs_nothing(codec: Codec) -> None:
    assert codec.encode(GREY).data == codec.encode(GREY, seed=0).data
    assert codec.encode(GREY).info.noise_seed == 0
    assert len(codec.encode(GREY, seed=1).data) == len(codec.encode(GREY).data) + 11


def test_only_the_decoder_hears_it(codec: Codec) -> None:
    one, other = (codec.decode_latents(codec.encode(GREY, seed=seed).data) for seed in (1, 2))
    np.testing.assert_array_equal(one["y"], other["y"])


@pytest.mark.parametrize("seed", [-1, 1 << 64])
def test_seeds_out_of_range(codec: Codec, seed: int) -> None:
    with pytest.raises(InvalidArgument, match="noise seed"):
        codec.encode(GREY, seed=seed)


def test_a_seed_without_noise(tmp_path: Path) -> None:
    codec = edgecodec.open_bundle(plain().write(tmp_path / "plain.bundle"), "onnxruntime")
    with pytest.raises(KnobUnavailable, match="no noise"):
        codec.encode(GREY, seed=1)


def _with_section(data: bytes, tag: int, section: bytes) -> bytes:
    """A file without sections as one that has this one: behind the head, two sides of a byte and the model id."""
    start = 2 + 1 + 2 + 4
    body = data[:2] + bytes([data[2] | 1 << 7]) + data[3:start]
    body += bytes([tag, len(section)]) + section + b"\0" + data[start:-4]
    return body + zlib.crc32(body).to_bytes(4, "little")


def test_the_section_is_eight_bytes_lowest_first(codec: Codec) -> None:
    data = codec.encode(GREY).data
    assert (
        _with_section(data, 128, bytes([1, 2, 0, 0, 0, 0, 0, 128])) == codec.encode(GREY, seed=0x8000000000000201).data
    )


@pytest.mark.parametrize("size", [0, 7, 9])
def test_sections_of_another_size_are_refused(codec: Codec, size: int) -> None:
    data = _with_section(codec.encode(GREY).data, 128, bytes(size))
    for read in (container.parse, edgecodec.inspect, codec.decode):
        with pytest.raises(Corrupt, match="noise seed") as caught:
            read(data)
        assert caught.value.offset == 2 + 1 + 2 + 4 + 2 + size  # set by the library for its caller


def test_a_seed_and_metadata(codec: Codec) -> None:
    data = container.write(
        b"", width=1, height=1, lanes=2, model_id="00000000", noise_seed=7, quality=1.5, icc=b"i", exif=b"e", xmp=b"x"
    )
    file = container.parse(data)
    assert (file.info.noise_seed, file.info.quality, file.icc, file.exif, file.xmp) == (7, 1.5, b"i", b"e", b"x")


def test_more_noise_than_pictures_are_large(tmp_path: Path) -> None:
    edgecodec.open_bundle(with_noise(16 * BLOCK**2).write(tmp_path / "much.bundle"), "onnxruntime")
    with pytest.raises(BadModel, match=r"1025 planes of noise, .* are more than 16 values a pixel") as refused:
        edgecodec.open_bundle(with_noise(16 * BLOCK**2 + 1).write(tmp_path / "more.bundle"), "onnxruntime")
    assert refused.value.where == str(tmp_path / "more.bundle" / "index.bin")


def test_noise_beyond_all_memory() -> None:
    with pytest.raises(OutOfMemory, match="65535x65535x65535"):
        normal_noise(0, 65535, 65535, 65535)


def test_the_grid_of_the_noise_is_that_of_the_padded_picture(codec: Codec) -> None:
    """A picture of one pixel has one block."""
    decoded = codec.decode(codec.encode(GREY[:1, :1], seed=3).data).pixels
    noise = 8 / ONE * normal_noise(3, 5, 1, 1)[:3].astype(np.float32)
    np.testing.assert_array_equal(decoded, synthesised(noise)[:1, :1])
    assert synthesised(noise).shape == (BLOCK, BLOCK, 3)
