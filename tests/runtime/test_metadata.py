"""ICC profile, EXIF and XMP travel with the picture, through every format that can hold them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageCms, PngImagePlugin

from edgecodec import picture
from edgecodec.codec import Codec
from edgecodec.limits import Limits
from edgecodec.picture_writing import as_file

ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><note>caf\xc3\xa9</note></x:xmpmeta>'
ARTIST = 0x013B
ORIENTATION = 0x0112


def _exif(**more: int) -> bytes:
    exif = Image.Exif()
    exif[ARTIST] = "someone"
    if "orientation" in more:
        exif[ORIENTATION] = more["orientation"]
    return exif.tobytes()


def _save(path: Path, pixels: npt.NDArray[np.uint8], exif: bytes) -> None:
    image = Image.fromarray(pixels)
    if path.suffix == ".png":
        texts = PngImagePlugin.PngInfo()
        texts.add_itxt("XML:com.adobe.xmp", XMP.decode())
        image.save(path, icc_profile=ICC, exif=exif, pnginfo=texts)
    else:
        image.save(path, icc_profile=ICC, exif=exif, xmp=XMP)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp"])
def test_metadata_survives_encode_and_decode(
    codec: Codec, tmp_path: Path, pixels: npt.NDArray[np.uint8], suffix: str
) -> None:
    _save(tmp_path / f"in{suffix}", pixels, _exif())
    decoded = codec.decode(codec.encode(tmp_path / f"in{suffix}").data)
    assert decoded.icc == ICC and decoded.xmp == XMP
    assert decoded.exif == _exif().removeprefix(b"Exif\0\0")
    info = decoded.info
    assert (info.icc_bytes, info.exif_bytes, info.xmp_bytes) == (len(ICC), len(decoded.exif or b""), len(XMP))


@pytest.mark.parametrize("picture_format", ["png", "jpg", "webp", "tif"])
def test_metadata_is_written(tmp_path: Path, pixels: npt.NDArray[np.uint8], picture_format: str) -> None:
    source = picture.Picture(pixels, ICC, _exif().removeprefix(b"Exif\0\0"), XMP)
    path = tmp_path / f"out.{picture_format}"
    path.write_bytes(as_file(source, picture_format).data)
    with Image.open(path) as written:
        assert written.info["icc_profile"] == ICC
        assert written.getexif()[ARTIST] == "someone"
    if picture_format != "tif":
        read = picture.read(path, Limits())
        assert (read.icc, read.exif, read.xmp) == (ICC, source.exif, XMP)


@pytest.mark.parametrize("picture_format", ["png", "webp", "tif", "bmp", "ppm", "npy"])
@pytest.mark.parametrize("grey", [False, True], ids=["colour", "grey"])
def test_lossless_formats_keep_the_pixels(
    tmp_path: Path, pixels: npt.NDArray[np.uint8], picture_format: str, grey: bool
) -> None:
    source = pixels[:, :, 0] if grey else pixels
    path = tmp_path / f"out.{picture_format}"
    path.write_bytes(as_file(picture.Picture(source), picture_format).data)
    read = np.load(path) if picture_format == "npy" else np.asarray(Image.open(path))
    np.testing.assert_array_equal(read, source if read.ndim == source.ndim else source[..., None].repeat(3, 2))


def test_ppm_is_colour_and_can_be_concatenated(pixels: npt.NDArray[np.uint8]) -> None:
    for source in (pixels, pixels[:, :, 0]):
        data = as_file(picture.Picture(source), "ppm").data
        assert data.startswith(b"P6\n96 64\n255\n") and len(data) == 13 + 96 * 64 * 3


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp"])
def test_orientation_is_reset_and_the_rest_of_exif_kept(
    tmp_path: Path, pixels: npt.NDArray[np.uint8], suffix: str
) -> None:
    _save(tmp_path / f"in{suffix}", pixels, _exif(orientation=6))
    read = picture.read(tmp_path / f"in{suffix}", Limits())
    exif = Image.Exif()
    exif.load(read.exif or b"")
    assert ORIENTATION not in exif and exif[ARTIST] == "someone"
    assert read.pixels.shape == (96, 64, 3)
    assert read.notes == ("applied EXIF orientation 6",)


def test_a_profile_of_another_colour_space_is_dropped_and_said_so(tmp_path: Path, photo: Path) -> None:
    Image.open(photo).convert("L").save(tmp_path / "grey.png", icc_profile=ICC)
    read = picture.read(tmp_path / "grey.png", Limits())
    assert read.icc is None
    assert read.notes == ("dropped an ICC profile of another colour space",)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")  # Pillow says so as well
def test_damaged_exif_does_not_stop_the_picture(tmp_path: Path, photo: Path) -> None:
    Image.open(photo).save(tmp_path / "a.jpg", exif=b"Exif\0\0II*\0\xff\xff\xff\x7fgarbage")
    assert picture.read(tmp_path / "a.jpg", Limits()).pixels.ndim == 3


def test_a_picture_without_metadata_stays_without(codec: Codec, photo: Path) -> None:
    decoded = codec.decode(codec.encode(photo).data)
    assert (decoded.icc, decoded.exif, decoded.xmp) == (None, None, None)
