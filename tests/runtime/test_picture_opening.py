"""Our limits rule and not Pillow's, nothing of Pillow's stays changed, and what it raises becomes an error of ours."""

from __future__ import annotations

import io
import struct
import subprocess
import threading
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFile, PngImagePlugin, features

from edgecodec import picture, picture_opening
from edgecodec.errors import CannotRead, EdgecodecError, InvalidArgument, LimitExceeded, NotAnImage, OutOfMemory
from edgecodec.limits import ANY, Limits
from edgecodec.not_a_picture import no_picture
from edgecodec.picture_writing import as_file
from support.command_line import run_command
from support.paths import DATA, TINY
from support.png_files import grey_png

PICTURES = DATA / "pictures"
PIXELS = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)
ERRORS: list[tuple[Exception, type[EdgecodecError]]] = [
    (NotImplementedError("no such format"), NotAnImage),
    (MemoryError(), OutOfMemory),
    *(
        (error, CannotRead)
        for error in (
            RuntimeError("x"), SyntaxError("x"), struct.error("x"), AttributeError("x"), TypeError("x"),
            ValueError("x"), KeyError("x"), IndexError("x"), OverflowError("x"), zlib.error("x"), OSError("x"),
            EOFError("x"), ZeroDivisionError("x"), AssertionError(), UserWarning("x"),
        )
    ),
]  # fmt: skip


def _saved(picture_format: str = "PNG", pixels: Any = PIXELS, **options: Any) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, picture_format, **options)
    return out.getvalue()


# Errors


@pytest.mark.parametrize(("raised", "expected"), ERRORS, ids=lambda value: getattr(value, "__name__", repr(value)))
def test_what_pillow_raises_while_loading_is_an_error_that_names_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, raised: Exception, expected: type[EdgecodecError]
) -> None:
    def fail(*_: object) -> None:
        raise raised

    monkeypatch.setattr(ImageFile.ImageFile, "load", fail)
    (tmp_path / "a.png").write_bytes(_saved())
    for read in (picture.read, picture.read_numbers):
        (tmp_path / "a.png").write_bytes(_saved(pixels=PIXELS[:, :, 0]))
        with pytest.raises(expected) as caught:
            read(tmp_path / "a.png", Limits())
        assert type(caught.value) is expected and caught.value.where == str(tmp_path / "a.png")


@pytest.mark.parametrize(("raised", "expected"), ERRORS, ids=lambda value: getattr(value, "__name__", repr(value)))
def test_what_pillow_raises_while_opening_is_an_error_that_names_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, raised: Exception, expected: type[EdgecodecError]
) -> None:
    def fail(*_: object) -> None:
        raise raised

    (tmp_path / "a.png").write_bytes(_saved())
    monkeypatch.setitem(Image.OPEN, "PNG", (fail, lambda prefix: True))
    if isinstance(raised, SyntaxError | IndexError | TypeError | struct.error):  # Pillow's words for another format
        expected = NotAnImage
    with pytest.raises(expected) as caught:
        picture.read(tmp_path / "a.png", Limits())
    assert type(caught.value) is expected and caught.value.where == str(tmp_path / "a.png")


@pytest.mark.parametrize(("raised", "_"), ERRORS, ids=lambda value: getattr(value, "__name__", repr(value)))
@pytest.mark.parametrize("picture_format", ["png", "tif"])
def test_what_pillow_raises_while_writing_is_an_error(
    monkeypatch: pytest.MonkeyPatch, raised: Exception, _: object, picture_format: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise raised

    monkeypatch.setattr(Image.Image, "save", fail)
    with pytest.raises(OutOfMemory if isinstance(raised, MemoryError) else InvalidArgument):
        as_file(picture.Picture(PIXELS), picture_format)


def test_a_kind_that_pillow_cannot_decode_costs_its_neighbours_nothing(tmp_path: Path) -> None:
    """No error of ours would end the command."""
    (tmp_path / "in").mkdir()
    for name in ("a.png", "c.png"):
        (tmp_path / "in" / name).write_bytes(_saved())
    (tmp_path / "in" / "b.png").write_bytes((PICTURES / "dx10-unimplemented.dds").read_bytes())
    done = run_command("encode", tmp_path / "in", "-b", TINY, "--engine", "stub", "--json", "-o", f"{tmp_path}/out/")
    assert done.status == 1
    assert [record["ok"] for record in done.records] == [True, False, True]
    assert done.records[1]["code"] == "not_an_image" and "DXGI" in done.records[1]["message"]
    assert f"{tmp_path / 'in' / 'b.png'}: is of a kind that Pillow cannot decode" in done.talk


def test_messages_hold_no_control_characters(tmp_path: Path) -> None:
    (tmp_path / "a.ppm").write_bytes(b"P6\n\x1b[31mred 4\n255\n")
    with pytest.raises(EdgecodecError) as caught:
        picture.read(tmp_path / "a.ppm", Limits())
    assert caught.value.message.isprintable()
    assert picture_opening.said(ValueError("\x1b[2J\n\u202e")) == r"\x1b[2J\n\u202e"


# Limits


def test_pictures_beyond_pillows_limit_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every plugin checks it in a place of its own, and warns first."""
    for limit in (30, 10):  # 48 pixels: it would warn, and raise
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        for picture_format in ("PNG", "JPEG", "TIFF", "WEBP", "GIF", "BMP", "ICO", "JPEG2000"):
            if picture_format == "JPEG2000" and not features.check("jpg_2000"):
                continue
            # An icon of another size than the usual ones has to be asked for.
            file = _saved(picture_format, **({"sizes": [(8, 6)]} if picture_format == "ICO" else {}))
            assert picture.read(file, Limits(), "drop").pixels.shape[:2] == (6, 8), picture_format
        assert limit == Image.MAX_IMAGE_PIXELS


def test_our_limit_is_what_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    for picture_format in ("PNG", "TIFF", "WEBP"):
        for most in (47, 10):
            with pytest.raises(LimitExceeded, match=f"limit of {most} pixels") as caught:
                picture.read(_saved(picture_format), Limits(max_pixels=most))
            assert "max_pixels" in (caught.value.hint or "") and "PIL" not in str(caught.value)
    assert Image.MAX_IMAGE_PIXELS == 10


def test_an_icon_that_is_larger_than_it_says_is_stopped() -> None:
    """Its table says 8x6, the PNG within says 8000x6000 in a few bytes."""
    icon = bytearray(_saved("ICO", sizes=[(8, 6)]))
    at = icon.index(b"IHDR")
    icon[at + 4 : at + 12] = struct.pack(">II", 8000, 6000)
    icon[at + 17 : at + 21] = struct.pack(">I", zlib.crc32(icon[at : at + 17]))
    with pytest.raises(LimitExceeded, match="limit of 1000000 pixels"):
        picture.read(bytes(icon), Limits(max_pixels=1000000), "drop")


def test_a_picture_that_turns_out_larger_than_it_said_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plugins of some versions of Pillow take the size of an icon from its table until they load it."""
    load = ImageFile.ImageFile.load

    def larger(image: ImageFile.ImageFile) -> object:
        loaded = load(image)
        image._size = (30, 40)
        return loaded

    monkeypatch.setattr(ImageFile.ImageFile, "load", larger)
    for read in (picture.read, picture.read_numbers):
        with pytest.raises(LimitExceeded, match="30x40"):
            read(_saved(pixels=PIXELS[:, :, 0]), Limits(max_pixels=1000))


def test_threads_share_pillows_limit_and_give_it_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    large, failures = _saved(), list[BaseException]()

    def read(limits: Limits) -> None:
        try:
            for _ in range(50):
                if limits.max_pixels < 48:
                    with pytest.raises(LimitExceeded):
                        picture.read(large, limits)
                else:
                    picture.read(large, limits)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=read, args=(limits,)) for limits in (ANY, Limits(), Limits(max_pixels=40)) * 2]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert failures == [] and Image.MAX_IMAGE_PIXELS == 10


def test_nested_readers_give_pillows_limit_back_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    first = picture_opening.opened(_saved(), Limits(max_pixels=100))
    with first:
        with picture_opening.opened(_saved(), Limits(max_pixels=50)):
            assert Image.MAX_IMAGE_PIXELS == 100
        assert Image.MAX_IMAGE_PIXELS == 100
    assert Image.MAX_IMAGE_PIXELS == 10


# PNG files: text has no part in the picture, whatever its size


def test_a_png_with_a_large_comment_is_encoded(tmp_path: Path) -> None:
    done = run_command(
        "encode", PICTURES / "png-large-comment.png", "-b", TINY, "--engine", "stub", "--json", "-o", tmp_path / "a"
    )
    assert done.status == 0 and done.records[0]["notes"] == ["dropped text comments"]


@pytest.mark.parametrize("text_chunk", ["tEXt", "zTXt", "iTXt"])
def test_text_is_dropped_and_said_so(text_chunk: str) -> None:
    texts = PngImagePlugin.PngInfo()
    comment = "x" * (3 << 20)
    for number in range(30 if text_chunk == "tEXt" else 1):  # more together than Pillow allows
        if text_chunk == "iTXt":
            texts.add_itxt("Comment", comment, zip=True)
        else:
            texts.add_text(f"Comment {number}", comment, zip=text_chunk == "zTXt")
    read = picture.read(_saved(pnginfo=texts), Limits())
    np.testing.assert_array_equal(read.pixels, PIXELS)
    assert read.notes == ("dropped text comments",)


def test_a_large_profile_and_large_xmp_are_carried() -> None:
    icc, xmp = (bytes(16) + b"RGB ").ljust(2 << 20, b"i"), b"<x/>".ljust(2 << 20, b" ")
    texts = PngImagePlugin.PngInfo()
    texts.add_itxt("XML:com.adobe.xmp", xmp, zip=True)
    read = picture.read(_saved(icc_profile=icc, pnginfo=texts), Limits())
    assert (read.icc, read.xmp, read.notes) == (icc, xmp, ())


def test_metadata_that_unpack_to_too_much_are_dropped_and_said_so() -> None:
    texts = PngImagePlugin.PngInfo()
    texts.add_itxt("XML:com.adobe.xmp", bytes(17 << 20), zip=True)
    read = picture.read(_saved(icc_profile=bytes(17 << 20), pnginfo=texts), Limits())
    assert (read.icc, read.xmp) == (None, None)
    assert sorted(read.notes) == ["dropped an ICC profile of more than 16 MiB", "dropped text of more than 16 MiB"]


def test_damaged_metadata_do_not_stop_a_png() -> None:
    icc = bytes(16) + b"RGB " + bytes(100)
    data = bytearray(_saved(icc_profile=icc))
    data[data.index(b"iCCP") + 20] ^= 1
    read = picture.read(bytes(data), Limits())
    assert read.icc is None and read.notes == ("dropped damaged metadata",)
    np.testing.assert_array_equal(read.pixels, PIXELS)


def test_exif_in_text_is_carried_and_applied() -> None:
    """As programs wrote it before PNG had a chunk for EXIF."""
    exif = Image.Exif()
    exif[0x0112], exif[0x013B] = 6, "someone"
    hexadecimal = exif.tobytes().hex()
    texts = PngImagePlugin.PngInfo()
    texts.add_text("Raw profile type exif", f"\nexif\n{len(hexadecimal) // 2:8}\n{hexadecimal}\n", zip=True)
    read = picture.read(_saved(pnginfo=texts), Limits())
    np.testing.assert_array_equal(read.pixels, np.rot90(PIXELS, -1))
    assert read.orientation == 6 and b"someone" in (read.exif or b"")


def test_a_png_that_ends_early_is_damaged() -> None:
    whole = grey_png(np.arange(4096, dtype=np.uint8).reshape(64, 64), 8)
    for end in range(8, whole.index(b"IDAT") + 40):  # of the samples that follow nothing may be missing
        with pytest.raises((CannotRead, NotAnImage)):
            picture.read(whole[:end], Limits())


@pytest.mark.parametrize("picture_format", ["PNG", "JPEG", "TIFF", "BMP"])
@pytest.mark.parametrize("kind", [bytearray, memoryview, io.BytesIO])
def test_bytes_of_any_kind_are_a_picture(picture_format: str, kind: Callable[[bytes], Any]) -> None:
    file = _saved(picture_format)
    np.testing.assert_array_equal(picture.read(kind(file), Limits()).pixels, picture.read(file, Limits()).pixels)


# TIFF files of several pages


def _pages(*sizes: tuple[int, int], kinds: dict[int, int] | None = None, tag: int = 254) -> bytes:
    """A TIFF file of such pages (width, height); kinds: values by page of NewSubfileType, or of another tag."""
    out = io.BytesIO()
    pages = [
        Image.fromarray(np.full((height, width), 10 * number, np.uint8)) for number, (width, height) in enumerate(sizes)
    ]
    for number, page in enumerate(pages):
        page.encoderinfo = {"tiffinfo": {tag: (kinds or {}).get(number, 0)}}
    pages[0].save(out, "TIFF", save_all=True, append_images=pages[1:])
    return out.getvalue()


@pytest.mark.parametrize(
    "file",
    [
        _pages((33, 20), (16, 10), (8, 5)),
        _pages((33, 20), (17, 10)),
        _pages((33, 20), (9, 9), kinds={1: 1}),
        _pages((33, 20), (9, 9), kinds={1: 2}, tag=255),
    ],
    ids=["halves", "larger half", "says so", "says so in the old tag"],
)
def test_reduced_copies_are_one_shot(file: bytes) -> None:
    read = picture.read(file, Limits())
    assert read.pixels.shape == (20, 33) and not read.pixels.any()
    copies = Image.open(io.BytesIO(file)).n_frames - 1  # type: ignore[attr-defined]
    assert read.notes == (f"left out {copies} reduced copies",)


@pytest.mark.parametrize(
    "file",
    [
        _pages((33, 20), (33, 20)),
        _pages((33, 20), (16, 10), (16, 10)),
        _pages((16, 10), (33, 20)),
        _pages((33, 20), (9, 9), kinds={1: 2}),  # a page of several
        _pages((33, 20), (9, 9), kinds={1: 1}, tag=255),  # in full resolution
    ],
)
def test_other_pages_are_several_pictures(file: bytes) -> None:
    with pytest.raises(InvalidArgument, match="several frames"):
        picture.read(file, Limits())


@pytest.mark.parametrize(
    "start", [b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n", b"\xc5\xd0\xd3\xc6" + bytes(28)]
)
def test_no_other_program_is_started_for_a_picture(start: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """PostScript is a program, which Pillow would hand to Ghostscript."""
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("started a program"))
    with pytest.raises(NotAnImage, match="is PostScript, not a picture"):
        picture.read(start + b"%%EndComments\nshowpage\n", Limits())


@pytest.mark.parametrize(
    ("name", "contents", "message", "hint"),
    [
        ("a.png", b"", "is empty", "written"),
        ("a.png", b"not a picture", "not a picture that Pillow can open", "PNG, JPEG, WebP, TIFF, BMP, PPM, GIF"),
        ("a.edgc", b"not a picture", "neither a picture nor a coded one", "edgecodec inspect"),
        ("a.png", b"\xec\xdc" + bytes(30), "is a coded picture", "edgecodec decode"),
        ("a", b"%PDF-1.7", "is PDF", "convert it"),
        ("a.svg", b'\n<svg xmlns="http://www.w3.org/2000/svg"/>', "is SVG", "convert it"),
        ("a.zip", b"PK\3\4" + bytes(30), "is a zip archive", "PNG, JPEG"),
    ],
)
def test_what_is_no_picture_is_named_and_a_way_on(
    tmp_path: Path, name: str, contents: bytes, message: str, hint: str
) -> None:
    (tmp_path / name).write_bytes(contents)
    with pytest.raises(NotAnImage, match=message) as refused:
        picture.read(tmp_path / name, Limits())
    assert refused.value.hint is not None and hint in refused.value.hint
    assert refused.value.where == str(tmp_path / name)


@pytest.mark.parametrize(("name", "said"), [("a.HEIC", "pip install 'edgecodec[heif]' reads HEIC"), ("a", "HEIC with")])
def test_extras_that_are_not_installed_are_named(monkeypatch: pytest.MonkeyPatch, name: str, said: str) -> None:
    monkeypatch.setattr("edgecodec.picture_plugins.find_spec", lambda package: None)
    assert said in (no_picture(b"damaged beyond recognition", name).hint or "")


def test_a_folder_is_no_picture_either(tmp_path: Path) -> None:
    with pytest.raises(CannotRead) as refused:
        picture.read(tmp_path, Limits())
    assert refused.value.hint == "give the name of a file"
    outcome = run_command("compare", TINY, tmp_path / "a.png", "-o", tmp_path / "page.html")
    assert outcome.status == 2 and "is a bundle, not a picture" in outcome.talk
