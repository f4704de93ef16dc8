"""Any size from one pixel up, greyscale and colour, any way round: what goes in comes out in the same shape."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from edgecodec import picture
from edgecodec.codec import Codec
from edgecodec.errors import AlphaRefused, InvalidArgument, NotAnImage
from edgecodec.limits import Limits
from support.paths import PHOTOS
from support.png_files import grey_png, png

SIZES = [(1, 1), (1, 64), (64, 1), (3, 17), (17, 3), (63, 65), (64, 64), (65, 63), (128, 100)]
ORIENTATION = 0x0112


@pytest.mark.parametrize(("height", "width"), SIZES)
@pytest.mark.parametrize("channels", [(), (3,)], ids=["grey", "colour"])
def test_shape_survives(codec: Codec, height: int, width: int, channels: tuple[int, ...]) -> None:
    source = np.random.default_rng(0).integers(0, 256, (height, width, *channels), np.uint8)
    decoded = codec.decode(codec.encode(source).data)
    assert decoded.pixels.shape == source.shape and decoded.pixels.dtype == np.uint8
    assert decoded.pixels.flags.c_contiguous
    assert (decoded.info.width, decoded.info.height) == (width, height)
    assert decoded.info.greyscale == (not channels)


@settings(max_examples=60)
@given(height=st.integers(1, 200), width=st.integers(1, 200), grey=st.booleans(), level=st.integers(0, 255))
def test_one_colour_survives_exactly(mosaic: Codec, height: int, width: int, grey: bool, level: int) -> None:
    source = np.full((height, width) if grey else (height, width, 3), level, np.uint8)
    np.testing.assert_array_equal(mosaic.decode(mosaic.encode(source).data).pixels, source)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied_once(tmp_path: Path, orientation: int, pixels: npt.NDArray[np.uint8]) -> None:
    upright = {
        1: pixels, 2: pixels[:, ::-1], 3: pixels[::-1, ::-1], 4: pixels[::-1],
        5: pixels.transpose(1, 0, 2), 6: np.rot90(pixels, -1), 7: np.rot90(pixels, 2).transpose(1, 0, 2),
        8: np.rot90(pixels, 1),
    }[orientation]  # fmt: skip
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    Image.fromarray(pixels).save(tmp_path / "turned.png", exif=exif)
    read = picture.read(tmp_path / "turned.png", Limits())
    np.testing.assert_array_equal(read.pixels, upright)
    kept = Image.Exif()
    kept.load(read.exif or b"")
    assert kept.get(ORIENTATION, 1) == 1


def test_exif_rotated_photo_decodes_upright(mosaic: Codec, tmp_path: Path, pixels: npt.NDArray[np.uint8]) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    Image.fromarray(pixels).save(tmp_path / "turned.jpg", exif=exif, quality=95)
    decoded = mosaic.decode(mosaic.encode(tmp_path / "turned.jpg").data)
    assert decoded.pixels.shape == (96, 64, 3)


def _read(tmp_path: Path, image: Image.Image, name: str = "a.png", **options: Any) -> picture.Picture:
    image.save(tmp_path / name, **options)
    return picture.read(tmp_path / name, Limits())


def test_greyscale_stays_greyscale(tmp_path: Path, photo: Path) -> None:
    grey = Image.open(photo).convert("L")
    read = _read(tmp_path, grey)
    assert read.greyscale
    np.testing.assert_array_equal(read.pixels, np.asarray(grey))


def test_two_levels_become_greyscale(tmp_path: Path, photo: Path) -> None:
    read = _read(tmp_path, Image.open(photo).convert("1"))
    assert read.greyscale and set(np.unique(read.pixels)) == {0, 255}


def test_palette_becomes_colour(tmp_path: Path, photo: Path) -> None:
    palette = Image.open(photo).quantize(16)
    np.testing.assert_array_equal(_read(tmp_path, palette).pixels, np.asarray(palette.convert("RGB")))


def test_sixteen_bits_are_rounded_and_said_so(tmp_path: Path) -> None:
    samples = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    read = _read(tmp_path, Image.fromarray(samples))
    np.testing.assert_array_equal(read.pixels, np.floor(samples / 257 + 0.5))
    assert read.notes == ("rounded 16-bit samples to 8 bits",)


def test_cmyk_becomes_colour_and_said_so(tmp_path: Path, photo: Path) -> None:
    cmyk = Image.open(photo).convert("CMYK")
    read = _read(tmp_path, cmyk, "a.tif")
    np.testing.assert_array_equal(read.pixels, np.asarray(cmyk.convert("RGB")))
    assert read.notes == ("converted CMYK to RGB",)


def test_float_pixels_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match="mode F"):
        _read(tmp_path, Image.fromarray(np.zeros((4, 4), np.float32)), "a.tif")


def _transparent(photo: Path, mode: str) -> Image.Image:
    image: Image.Image = Image.open(photo)
    if mode == "palette":
        palette = image.quantize(16)
        palette.info["transparency"] = 3
        return palette
    image = image.convert({"RGBA": "RGB", "LA": "L"}[mode])
    image.putalpha(128)
    return image


@pytest.mark.parametrize("mode", ["RGBA", "LA", "palette"])
def test_transparency_is_refused(codec: Codec, tmp_path: Path, photo: Path, mode: str) -> None:
    _transparent(photo, mode).save(tmp_path / "a.png")
    with pytest.raises(AlphaRefused) as caught:
        codec.encode(tmp_path / "a.png")
    assert caught.value.code == 22
    assert caught.value.where == str(tmp_path / "a.png")
    assert "--alpha-channel drop, white or black" in (caught.value.hint or "")


@pytest.mark.parametrize("background", ["white", "black"])
def test_transparency_laid_on_a_colour(tmp_path: Path, photo: Path, background: picture.AlphaChannel) -> None:
    _transparent(photo, "RGBA").save(tmp_path / "a.png")
    laid = picture.read(tmp_path / "a.png", Limits(), background).pixels
    below = 255 if background == "white" else 0
    expected = np.asarray(Image.open(photo)) * (128 / 255) + below * (127 / 255)
    assert np.abs(laid - expected).max() <= 1


def test_transparency_dropped(tmp_path: Path, photo: Path) -> None:
    _transparent(photo, "LA").save(tmp_path / "a.png")
    dropped = picture.read(tmp_path / "a.png", Limits(), "drop")
    assert dropped.notes == ("transparency: drop",)
    np.testing.assert_array_equal(dropped.pixels, np.asarray(Image.open(photo).convert("L")))


def _opaque_on(samples: npt.NDArray[np.uint8], background: str, transparent: npt.NDArray[np.bool_]) -> Any:
    return np.where(transparent, {"white": 255, "black": 0}.get(background, samples), samples)


@pytest.mark.parametrize("background", ["drop", "white", "black"])
@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
@pytest.mark.parametrize("which", [-1, -2])
def test_one_grey_that_is_transparent(which: int, depth: int, background: picture.AlphaChannel) -> None:
    """The file names it in its own bits; the levels are those of the same file without it."""
    samples = np.arange(1 << depth, dtype=np.uint16)[:: max(1, 1 << depth >> 10)][None]
    transparent = samples == samples[0, which]
    expected = np.floor(samples / ((1 << depth) - 1) * 255 + 0.5).astype(np.uint8)
    file = grey_png(samples, depth, transparent=int(samples[0, which]))
    read = picture.read(file, Limits(), background)
    assert read.greyscale
    np.testing.assert_array_equal(read.pixels, _opaque_on(expected, background, transparent))
    with pytest.raises(AlphaRefused):
        picture.read(file, Limits())


@pytest.mark.parametrize("background", ["drop", "white", "black"])
def test_one_colour_of_sixteen_bits_that_is_transparent(background: picture.AlphaChannel) -> None:
    samples = np.array([[[257, 51400, 65535], [0, 51400, 65535]]], ">u2")
    file = png(2, 1, 16, 2, samples.tobytes(), transparent=samples[0, 0].tobytes())
    read = picture.read(file, Limits(), background)
    transparent = np.array([True, False])[:, None]
    np.testing.assert_array_equal(read.pixels[0], _opaque_on(np.uint8(samples[0] >> 8), background, transparent))


@pytest.mark.parametrize("wrong", ["banana", "blue", "", "White"])
def test_transparency_made_into_something_else(codec: Codec, wrong: Any) -> None:
    """Also for a picture without any, and though Pillow knows the colour."""
    with pytest.raises(InvalidArgument, match="alpha_channel") as caught:
        codec.encode(PHOTOS[0], wrong)
    assert "refuse, drop, white, black" in (caught.value.hint or "")


def test_animation_is_refused(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    with pytest.raises(InvalidArgument, match="several frames"):
        picture.read(tmp_path / "a.gif", Limits())


@pytest.mark.parametrize("shape", [(0, 4, 3), (4, 0), (4, 4, 4), (4, 4, 1), (4,)])
def test_arrays_of_other_shapes_are_refused(codec: Codec, shape: tuple[int, ...]) -> None:
    with pytest.raises(InvalidArgument):
        codec.encode(np.zeros(shape, np.uint8))


def test_arrays_of_other_types_are_refused(codec: Codec) -> None:
    with pytest.raises(InvalidArgument, match="float32"):
        codec.encode(np.zeros((4, 4, 3), np.float32))


def test_text_is_not_an_image(codec: Codec) -> None:
    with pytest.raises(NotAnImage):
        codec.encode(b"not a picture")
