"""Pillow opens coded pictures: facts without an engine, pixels on demand, errors with their names."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps, UnidentifiedImageError

import edgecodec
from edgecodec import container, pillow_plugin
from edgecodec.codec import Codec
from edgecodec.decoded import Decoded
from edgecodec.errors import Corrupt, InvalidArgument, KnobUnavailable, LimitExceeded, ModelMismatch
from edgecodec.limits import Limits
from support.exif_data import exif_data, short, text
from support.paths import TINY


@pytest.fixture
def registered(mosaic: Codec, monkeypatch: pytest.MonkeyPatch) -> Iterator[Codec]:
    """Pillow as it was before, afterwards. Formats that first came to be registered in the copies would be lost."""
    Image.init()
    monkeypatch.setattr(pillow_plugin, "_codecs", {})
    for registry in ("OPEN", "SAVE", "EXTENSION", "MIME"):
        monkeypatch.setattr(Image, registry, dict(getattr(Image, registry)))
    monkeypatch.setattr(Image, "ID", list(Image.ID))
    edgecodec.register_opener(mosaic)
    yield mosaic


def test_pixels_are_those_of_decode(registered: Codec, coded: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.edgc").write_bytes(coded)
    with Image.open(tmp_path / "a.edgc") as image:
        assert (image.format, image.mode, image.size) == ("EDGC", "RGB", (96, 64))
        np.testing.assert_array_equal(np.asarray(image), registered.decode(coded).pixels)
    assert Image.registered_extensions()[".edgc"] == "EDGC"


def test_greyscale_and_metadata(registered: Codec, photo: Path, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x013B] = "someone"
    Image.open(photo).convert("L").save(tmp_path / "a.png", exif=exif)
    with Image.open(io.BytesIO(registered.encode(tmp_path / "a.png").data)) as image:
        assert image.mode == "L" and image.getexif()[0x013B] == "someone"
        assert image.size == ((64, 96) if photo.stem == "hat" else (96, 64))


def test_metadata_turn_no_picture(registered: Codec, coded: bytes) -> None:
    """Its pixels are upright already, whatever another program left in the file."""
    file = container.parse(coded)
    exif = exif_data(short(0x0112, 6), text(0x013B, "someone"))
    turned = container.write(
        file.payload, width=96, height=64, lanes=file.info.lanes, model_id=file.info.model_id, exif=exif
    )
    with Image.open(io.BytesIO(turned)) as image:
        assert ImageOps.exif_transpose(image).size == (96, 64) and image.getexif()[0x013B] == "someone"


def test_opening_decodes_nothing(registered: Codec, coded: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[bytes] = []
    decode = registered.decode

    def counted(data: bytes) -> Decoded:
        calls.append(data)
        return decode(data)

    monkeypatch.setattr(registered, "decode", counted)
    image = Image.open(io.BytesIO(coded))
    assert image.size == (96, 64) and not calls
    image.load()
    image.load()
    assert len(calls) == 1


def test_damage_is_named(registered: Codec, coded: bytes) -> None:
    with pytest.raises(UnidentifiedImageError, match="damaged or incomplete") as caught:
        Image.open(io.BytesIO(coded[:-1]))
    assert isinstance(caught.value.__cause__, Corrupt)


def test_long_files_are_not_read_whole(
    registered: Codec, coded: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "long.edgc"
    path.write_bytes(coded)
    os.truncate(path, 1 << 40)
    monkeypatch.setattr(pillow_plugin, "_LIMITS", Limits(max_file_bytes=1 << 20))
    with pytest.raises(OSError, match=str(path)) as caught:
        Image.open(path)
    assert isinstance(caught.value.__cause__, LimitExceeded)
    assert not isinstance(caught.value, UnidentifiedImageError)


def test_other_files_are_left_to_others(registered: Codec, photo: Path) -> None:
    with Image.open(photo) as image:
        assert image.format == "PNG"
    with pytest.raises(UnidentifiedImageError):
        Image.open(io.BytesIO(b"not a picture"))


def test_a_model_that_is_not_registered(registered: Codec, coded: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pillow_plugin, "_codecs", {})
    image = Image.open(io.BytesIO(coded))
    with pytest.raises(OSError, match="not registered") as caught:
        image.load()
    assert isinstance(caught.value.__cause__, ModelMismatch)


def test_a_path_will_do_and_nothing_will_not(registered: Codec, coded: bytes) -> None:
    edgecodec.register_opener(TINY)
    assert Image.open(io.BytesIO(coded)).size == (96, 64)
    with pytest.raises(InvalidArgument):
        edgecodec.register_opener()


def test_saving(registered: Codec, photo: Path, tmp_path: Path) -> None:
    """What Image.save writes is what `Codec.encode` makes of the same file."""
    exif = Image.Exif()
    exif[0x013B] = "someone"
    with Image.open(photo) as image:
        image.save(tmp_path / "a.jpg", exif=exif, quality=95)
    with Image.open(tmp_path / "a.jpg") as image:
        image.save(tmp_path / "a.edgc")
        stream = io.BytesIO()
        image.save(stream, format="EDGC", bundle=registered)
        assert image.get_format_mimetype() == "image/jpeg"
    expected = registered.encode(tmp_path / "a.jpg")
    assert (tmp_path / "a.edgc").read_bytes() == stream.getvalue() == expected.data
    with Image.open(tmp_path / "a.edgc") as image:
        assert image.getexif()[0x013B] == "someone" and image.get_format_mimetype() == "image/x-edgc"
        image.save(tmp_path / "bare.edgc", exif=b"")
    with Image.open(tmp_path / "bare.edgc") as image:
        assert not image.getexif()


def test_errors_of_saving_are_of_pillows_kind(
    registered: Codec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.edgc"
    picture = Image.new("RGB", (32, 32))
    with pytest.raises(ValueError, match="encode takes no quality") as unknown:
        picture.save(path, quality=80)
    assert isinstance(unknown.value.__cause__, KnobUnavailable) and not path.exists()
    with pytest.raises(ValueError, match="transparency"):
        Image.new("RGBA", (32, 32)).save(path)
    with pytest.raises(OSError, match=r"no\.bundle"):
        picture.save(path, bundle=tmp_path / "no.bundle")
    monkeypatch.setattr(pillow_plugin, "_codecs", {})
    with pytest.raises(ValueError, match="0 bundles"):
        picture.save(path)
    Image.new("RGBA", (32, 32)).save(path, bundle=TINY, alpha_channel="white")
    assert container.parse(path.read_bytes()).info.width == 32


# ---- imageio, whose plugin `pillow` takes whatever is registered with Pillow ----------------------------------------


def test_imageio_reads_and_writes(registered: Codec, coded: bytes, photo: Path, tmp_path: Path) -> None:
    iio = pytest.importorskip("imageio.v3")
    path, pixels = tmp_path / "a.edgc", iio.imread(photo)
    iio.imwrite(path, pixels, bundle=registered)
    assert path.read_bytes() == registered.encode(pixels).data
    np.testing.assert_array_equal(iio.imread(path), registered.decode(path).pixels)
    np.testing.assert_array_equal(iio.imread(coded), registered.decode(coded).pixels)
    (only,) = iio.imiter(coded)
    assert only.shape == (64, 96, 3)


def test_imageio_tells_facts_without_decoding(registered: Codec, coded: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    iio = pytest.importorskip("imageio.v3")
    monkeypatch.setattr(Codec, "decode", None)
    facts = iio.improps(coded)
    assert (facts.shape, facts.dtype, facts.is_batch) == ((64, 96, 3), np.uint8, False)
    file = container.parse(coded)
    described = container.write(
        file.payload, width=96, height=64, lanes=file.info.lanes, model_id=file.info.model_id, xmp=b"<x/>"
    )
    assert iio.immeta(described)["xmp"] == b"<x/>"


def test_imageio_says_which_bundle_is_missing(
    registered: Codec, coded: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    iio = pytest.importorskip("imageio.v3")
    pixels = np.zeros((64, 64, 3), np.uint8)
    with pytest.raises(OSError, match=r"no\.bundle: is not there"):
        iio.imwrite(tmp_path / "a.edgc", pixels, bundle=tmp_path / "no.bundle")
    monkeypatch.setattr(pillow_plugin, "_codecs", {})
    with pytest.raises(OSError, match=r"model \w+, which is not registered .*give its bundle to register_opener"):
        iio.imread(coded)
    with pytest.raises(ValueError, match="0 bundles are registered"):
        iio.imwrite(tmp_path / "a.edgc", pixels)
