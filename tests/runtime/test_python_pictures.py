"""Pictures in and out of Python: whatever a program has in memory is coded as its file would be."""

from __future__ import annotations

import io
import pickle
import re
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

import edgecodec
from edgecodec import container
from edgecodec.codec import Codec
from edgecodec.decoded import Decoded
from edgecodec.errors import (
    AlphaRefused,
    CannotRead,
    CannotWrite,
    InvalidArgument,
    LimitExceeded,
    NotEdgc,
)
from edgecodec.limits import Limits
from support.exif_data import exif_data, short, text
from support.paths import TINY

Pixels = npt.NDArray[np.uint8]


class Tensor:
    """A tensor of PyTorch as far as it is looked at, so that these tests need none."""

    def __init__(self, values: npt.NDArray[Any]) -> None:
        self.values = values

    def detach(self) -> Tensor:
        return self

    def cpu(self) -> Tensor:
        return self

    def is_floating_point(self) -> bool:
        return self.values.dtype.kind == "f"

    def float(self) -> Tensor:
        return Tensor(self.values.astype(np.float32))

    def numpy(self) -> npt.NDArray[Any]:
        return self.values


def test_tensors_of_every_layout(codec: Codec, coded: bytes, pixels: Pixels) -> None:
    first, floats = pixels.transpose(2, 0, 1), (pixels / 255).astype(np.float64)
    for values in (pixels, first, floats, floats.transpose(2, 0, 1), floats + 0.4 / 255, floats - 0.4 / 255):
        assert codec.encode(Tensor(values)).data == coded
    grey = pixels[..., 1]
    expected = codec.encode(grey).data
    for values in (grey, grey[None], grey[..., None], grey / 255):
        assert codec.encode(Tensor(values)).data == expected


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (np.zeros((3, 8, 3), np.uint8), "could be"),
        (np.zeros((1, 8, 3), np.uint8), "could be"),
        (np.zeros((1, 3, 8, 8), np.uint8), "is no picture's"),
        (np.zeros((4, 8, 8), np.uint8), "is no picture's"),
        (np.zeros((3, 8, 8), np.int64), "int64"),
        (np.full((3, 8, 8), 1.1, np.float32), "from 1.1 to 1.1"),
        (np.full((3, 8, 8), -0.01, np.float32), "from -0.01"),
        (np.full((3, 8, 8), np.nan, np.float32), "nan"),
    ],
)
def test_tensors_that_are_no_picture_are_refused(codec: Codec, values: npt.NDArray[Any], said: str) -> None:
    with pytest.raises(InvalidArgument, match=said):
        codec.encode(Tensor(values))


@pytest.mark.parametrize("loaded", [False, True])
@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.tif", "a.webp"])
def test_an_image_of_pillow_is_coded_as_its_file(
    codec: Codec, pixels: Pixels, tmp_path: Path, name: str, loaded: bool
) -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x013B] = 6, "someone"
    Image.fromarray(pixels).save(tmp_path / name, exif=exif, xmp=b"<x/>")
    expected = codec.encode(tmp_path / name)
    with Image.open(tmp_path / name) as image:
        if loaded:
            image.load()
        encoded = codec.encode(image)
    assert (encoded.info.width, encoded.info.height) == (64, 96) == (expected.info.width, expected.info.height)
    if name != "a.tif":  # whose EXIF data Pillow does not give as such
        assert encoded.data == expected.data
    np.testing.assert_array_equal(codec.decode(encoded).pixels, codec.decode(expected).pixels)


def test_images_of_other_modes(codec: Codec, pixels: Pixels) -> None:
    image = Image.fromarray(pixels)
    with pytest.raises(AlphaRefused):
        codec.encode(image.convert("RGBA"))
    assert codec.encode(image.convert("RGBA"), alpha_channel="drop").data == codec.encode(image).data
    assert codec.encode(image.convert("L")).info.greyscale
    assert "converted CMYK to RGB" in codec.encode(image.convert("CMYK")).notes
    with pytest.raises(InvalidArgument, match="empty: 0x3"):
        codec.encode(Image.new("RGB", (0, 3)))


def test_images_that_cannot_be_loaded(codec: Codec, pixels: Pixels) -> None:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    with pytest.raises(CannotRead, match="damaged picture"):
        codec.encode(Image.open(io.BytesIO(stream.getvalue()[:-4000])))
    with edgecodec.open_bundle(TINY, "stub", limits=Limits(max_pixels=64 * 95)) as narrow, pytest.raises(LimitExceeded):
        narrow.encode(Image.open(stream))


def test_the_image_of_a_decoded_picture_has_its_metadata(codec: Codec, coded: bytes) -> None:
    exif = exif_data(short(0x0112, 6), text(0x013B, "someone"))
    described = _with_metadata(coded, exif=exif, xmp=b"<x/>", icc=b"profile")
    image = codec.decode(described).image
    assert (image.mode, image.size) == ("RGB", (96, 64))
    assert image.info["icc_profile"] == b"profile" and image.info["xmp"] == b"<x/>"
    assert image.getexif()[0x013B] == "someone" and image.getexif().get(0x0112, 1) == 1  # it is upright
    assert not codec.decode(coded).image.info


def test_save_writes_what_the_command_writes(codec: Codec, coded: bytes, tmp_path: Path) -> None:
    from edgecodec.picture_writing import as_file

    decoded = codec.decode(_with_metadata(coded, xmp=b"<x/>"))
    (tmp_path / "a.png").write_bytes(b"what was there")
    assert decoded.save(tmp_path / "a.png") == ()
    assert (tmp_path / "a.png").read_bytes() == as_file(decoded, "png").data == decoded._repr_png_()
    assert decoded.save(str(tmp_path / "a.ppm")) == ("dropped XMP: ppm holds none",)
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "a.ppm")), decoded.pixels)
    with pytest.raises(InvalidArgument, match="no picture format has the extension 'heic'"):
        decoded.save(tmp_path / "a.heic")
    with pytest.raises(InvalidArgument, match=r"b: has no extension.*as in .*b\.png"):
        decoded.save(tmp_path / "b")
    with pytest.raises(CannotWrite):
        decoded.save(tmp_path / "no" / "a.png")
    codec.encode(decoded.image).save(tmp_path / "a.edgc")
    assert edgecodec.inspect(tmp_path / "a.edgc").xmp_bytes == 4  # type: ignore[union-attr]


def test_what_was_encoded_is_decoded(codec: Codec, pixels: Pixels, coded: bytes) -> None:
    encoded = codec.encode(pixels)
    np.testing.assert_array_equal(codec.decode(encoded).pixels, codec.decode(coded).pixels)
    assert [each.info.width for each in codec.decode_many([encoded, coded])] == [96, 96]
    assert codec.decode_latents(encoded).keys() == codec.decode_latents(coded).keys()


def test_representations_are_short(codec: Codec, coded: bytes, pixels: Pixels) -> None:
    encoded, info = codec.encode(pixels), edgecodec.inspect(TINY)
    assert repr(codec) == "<Codec hific tiny, alpha=1, engine onnxruntime>"
    assert repr(edgecodec.open_bundle(TINY, "stub", alpha=0.5)) == "<Codec hific tiny, alpha=0.5, engine stub>"
    rate = f"{len(encoded.data)} bytes, {8 * len(encoded.data) / 96 / 64:.3f} bits per pixel"
    assert repr(encoded) == f"<Encoded 96x64, {rate}>"
    assert re.fullmatch("<Decoded 96x64, onnxruntime on [a-z]+, fp32>", repr(codec.decode(coded)))
    assert repr(info).startswith("<BundleInfo hific tiny, 4 graphs, ") and str(TINY) in repr(info)
    for value in (codec.decode(pixels_coded := codec.encode(pixels[..., 0])), pixels_coded):
        assert "96x64 grey" in repr(value) and len(repr(value)) < 120
    assert len(repr(container.parse(coded))) < 500


def test_a_codec_is_opened_again_where_it_is_unpickled(tmp_path: Path, coded: bytes, pixels: Pixels) -> None:
    limits = Limits(max_pixels=1 << 20)
    with edgecodec.open_bundle(TINY, "onnxruntime", alpha=0, threads=1, limits=limits) as codec:
        again = pickle.loads(pickle.dumps(codec))
        assert repr(again) == repr(codec) and again._limits == limits
        np.testing.assert_array_equal(again.decode(coded).pixels, codec.decode(coded).pixels)
        decoded, encoded = codec.decode(coded), codec.encode(pixels)
        assert decoded.image.size == (96, 64)
    for copy in (pickle.loads(pickle.dumps(decoded)), pickle.loads(pickle.dumps(pickle.loads(pickle.dumps(decoded))))):
        np.testing.assert_array_equal(copy.pixels, decoded.pixels)
        assert copy.engine == decoded.engine and copy.memory == decoded.memory
    copied = pickle.loads(pickle.dumps(encoded))
    assert copied == encoded
    assert copied.latents.keys() == encoded.latents.keys() != set()
    for name, latents in encoded.latents.items():
        np.testing.assert_array_equal(copied.latents[name], latents)


def test_worker_processes(codec: Codec, coded: bytes) -> None:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        decoded = pool.submit(codec.decode, coded).result()
    np.testing.assert_array_equal(decoded.pixels, codec.decode(coded).pixels)


@pytest.mark.parametrize("jobs", [None, 1, 3])
def test_jobs_keep_the_order_and_errors_their_place(codec: Codec, pixels: Pixels, jobs: int | None) -> None:
    sources = [codec.encode(pixels[:, : 16 * (width + 1)]).data for width in range(6)] * 2
    sources[4] = b"no picture"
    expected = [16 * (at % 6 + 1) if at != 4 else NotEdgc for at in range(12)]
    found = codec.decode_many(sources, errors="return", jobs=jobs)
    assert [each.info.width if isinstance(each, Decoded) else type(each) for each in found] == expected
    results = codec.decode_many(sources, jobs=jobs)
    assert [next(results).info.width for _ in range(4)] == expected[:4]
    with pytest.raises(NotEdgc):
        next(results)


def test_jobs_hold_no_more_than_they_say(codec: Codec, coded: bytes) -> None:
    taken = 0

    def sources() -> Any:
        nonlocal taken
        for _ in range(50):
            taken += 1
            yield coded

    results = codec.decode_many(sources(), jobs=3)
    next(results)
    assert taken <= 2 * 3
    results.close()  # type: ignore[attr-defined]
    for wrong in (0, -1, 257):
        with pytest.raises(InvalidArgument, match="jobs is"):
            codec.decode_many([coded], jobs=wrong)


def _with_metadata(
    coded: bytes, icc: bytes | None = None, exif: bytes | None = None, xmp: bytes | None = None
) -> bytes:
    file = container.parse(coded)
    info = file.info
    return container.write(
        file.payload,
        width=info.width,
        height=info.height,
        lanes=info.lanes,
        model_id=info.model_id,
        icc=icc,
        exif=exif,
        xmp=xmp,
    )
