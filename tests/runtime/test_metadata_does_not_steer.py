"""What metadata say changes no pixel: any EXIF data, in any format, on the way in and out."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import PIL
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from edgecodec import container, picture
from edgecodec.codec import Codec
from edgecodec.errors import InvalidArgument, NotAnImage
from edgecodec.exif import cleaned
from edgecodec.limits import Limits
from edgecodec.picture_writing import FORMATS, as_file
from support.command_line import run_command
from support.exif_data import EXIF, GPS, INTEROPERABILITY, LONG, Tag, exif_data, folder, short, text, tiff_file
from support.paths import DATA, TINY

PICTURES = DATA / "pictures"
STUB = ("-b", TINY, "--engine", "stub")
LOSSLESS = [name for name in FORMATS if name not in ("jpg", "jpeg")]
PIXELS = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 129: 1}  # of TIFF's types
STRUCTURE = [254, 256, 257, 258, 259, 262, 266, 273, 274, 277, 278, 279, 284, 301, 317, 320, 322, 323, 324, 325, 330]
STRUCTURE += [338, 339, 347, 512, 513, 514, 529, 530, 531, 532, 700, 0xBC01, 34675, 50706]
DESCRIPTIVE = [270, 271, 272, 282, 283, 296, 305, 306, 315, 316, 33432, 33723, 0x4746, 0x9C9B, 0xC4A5]
TEXTS = [270, 271, 272, 305, 315, 33432]  # that readers give back as they are

ignoring_pillow = pytest.mark.filterwarnings("ignore::UserWarning:PIL")


def _pixels(data: bytes, picture_format: str) -> npt.NDArray[Any]:
    """As somebody else reads the file, not loaded through edgecodec."""
    return np.load(io.BytesIO(data)) if picture_format == "npy" else np.asarray(Image.open(io.BytesIO(data)))


# Any EXIF data


@st.composite
def _tags(draw: st.DrawFn, depth: int = 0) -> list[Tag]:
    numbers = st.one_of(st.sampled_from(STRUCTURE), st.sampled_from(DESCRIPTIVE), st.integers(0, 65535))
    tags = []
    for number in draw(st.lists(numbers, max_size=6)):
        kind = draw(st.sampled_from([*SIZES, 0, 99]))
        count = draw(st.sampled_from([0, 1, 1, 2, 3, 20]))
        size = SIZES.get(kind, 1) * count
        tags.append(
            Tag(
                number,
                kind,
                draw(st.sampled_from([count, count, count, 1 << 31])),
                draw(st.binary(min_size=size, max_size=size)),
            )
        )
    if depth < 2:
        for number in draw(st.lists(st.sampled_from([EXIF, GPS, INTEROPERABILITY]), max_size=2)):
            wild = Tag(number, LONG, 1, draw(st.binary(min_size=4, max_size=4)))
            tags.append(folder(number, *draw(_tags(depth + 1))) if draw(st.booleans()) else wild)
    return tags


@st.composite
def _exif(draw: st.DrawFn) -> tuple[bytes, dict[int, str]]:
    """EXIF data, and the texts in them that are beyond doubt."""
    texts = draw(st.dictionaries(st.sampled_from(TEXTS), st.from_regex("[ -~]{1,20}", fullmatch=True), max_size=3))
    tags = [tag for tag in draw(_tags()) if tag.number not in texts]
    tags += [text(number, value) for number, value in texts.items()]
    if draw(st.booleans()):
        tags.sort(key=lambda tag: tag.number)
    return exif_data(*tags, order=draw(st.sampled_from("<>"))), texts


@ignoring_pillow
@settings(max_examples=100)
@given(drawn=_exif(), grey=st.booleans())
def test_any_exif_leaves_the_pixels_of_any_format_alone(drawn: tuple[bytes, dict[int, str]], grey: bool) -> None:
    exif, texts = drawn
    pixels = PIXELS[:, :, 0] if grey else PIXELS
    for picture_format in FORMATS:
        data, notes = as_file(picture.Picture(pixels, None, exif), picture_format)
        assert not any("cannot" in note for note in notes)
        written = _pixels(data, picture_format)
        if picture_format in LOSSLESS:
            np.testing.assert_array_equal(
                written if written.ndim == pixels.ndim else written[:, :, 0], pixels, picture_format
            )
        if picture_format in ("png", "webp", "tif", "jpg"):
            with Image.open(io.BytesIO(data)) as image:
                kept = image.getexif()
                assert kept.get(274, 1) == 1
                assert {number: str(kept[number]).rstrip() for number in texts} == {
                    number: value.rstrip() for number, value in texts.items()
                }


@ignoring_pillow
@settings(max_examples=100)
@given(drawn=_exif())
def test_any_exif_leaves_what_is_read_alone(drawn: tuple[bytes, dict[int, str]]) -> None:
    """Beyond an orientation."""
    exif, texts = drawn
    for picture_format in ("PNG", "JPEG", "WEBP"):
        out = io.BytesIO()
        Image.fromarray(PIXELS).save(out, picture_format, exif=b"Exif\0\0" + exif, lossless=True)
        read = picture.read(out.getvalue(), Limits())
        assert sorted(read.pixels.shape[:2]) == [5, 7]
        if picture_format != "JPEG" and read.orientation == 1:
            np.testing.assert_array_equal(read.pixels, PIXELS)
        if texts:
            kept = Image.Exif()
            kept.load(read.exif or b"")
            assert set(texts) <= set(kept)


# Single cases


def test_a_resolution_without_a_number_does_not_stop_a_jpeg() -> None:
    exif = exif_data(Tag(282, 2, 1, b"\0"), short(296, 2), text(315, "someone"))
    out = io.BytesIO()
    Image.fromarray(PIXELS).save(out, "JPEG", exif=b"Exif\0\0" + exif)
    read = picture.read(out.getvalue(), Limits())
    assert read.notes == ("dropped damaged EXIF entries",) and b"someone" in (read.exif or b"")


@pytest.mark.parametrize("picture_format", ["png", "webp", "tif", "jpg"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_folders_are_written(picture_format: str, order: str) -> None:
    exif = exif_data(
        text(271, "Maker"),
        folder(GPS, text(1, "N"), Tag(2, 5, 3, np.array([51, 1, 3007, 100, 0, 1], order + "u4").tobytes())),
        folder(EXIF, text(36867, "2021:03:04 05:06:07"), folder(INTEROPERABILITY, text(1, "R98"))),
        order=order,
    )
    data, notes = as_file(picture.Picture(PIXELS, None, exif), picture_format)
    with Image.open(io.BytesIO(data)) as image:
        kept = image.getexif()
        assert kept[271] == "Maker"
        assert kept.get_ifd(GPS) == {1: "N", 2: (51, 30.07, 0)}
        assert kept.get_ifd(EXIF)[36867] == "2021:03:04 05:06:07"
        assert kept.get_ifd(INTEROPERABILITY) == {1: "R98"}
    assert notes == ()


def test_a_folder_that_is_its_own_parent_is_dropped_and_said_so() -> None:
    exif = exif_data(text(315, "someone"), Tag(EXIF, LONG, 1, b"\x08\0\0\0"))
    data, notes = as_file(picture.Picture(PIXELS, None, exif), "tif")
    assert notes == ("dropped damaged EXIF folders",)
    np.testing.assert_array_equal(_pixels(data, "tif"), PIXELS)


@pytest.mark.parametrize(
    "lie",
    [
        Tag(282, 5, 1, b"\1\0\0\0\0\0\0\0"),  # divided by 0
        Tag(282, 5, 2, bytes(range(1, 17))),
        Tag(282, 2, 1, b"\0"),
        short(296, 9),
        Tag(315, 12, 1, bytes(8)),
        text(315, "somebody else"),
    ],
    ids=["no number", "two numbers", "no resolution", "no unit", "no text", "twice"],
)
def test_a_tag_that_lies_is_dropped_and_said_so(lie: Tag) -> None:
    exif = exif_data(text(315, "someone"), lie)
    data, notes = as_file(picture.Picture(PIXELS, None, exif), "tif")
    assert notes == ("dropped damaged EXIF entries",)
    with Image.open(io.BytesIO(data)) as image:
        assert lie.number not in image.getexif() or image.getexif()[315] == "someone"


def test_a_private_tag_is_dropped_and_said_so() -> None:
    _, notes = as_file(picture.Picture(PIXELS, None, exif_data(text(315, "someone"), text(50000, "a secret"))), "jpg")
    assert notes == ("dropped private tags of EXIF",)


@pytest.mark.parametrize("pointer", [Tag(GPS, 9, 1, b"\xfb\xff\xff\xff"), Tag(EXIF, LONG, 1, b"\xff\xff\xff\x7f")])
def test_a_folder_that_is_nowhere_does_not_stop_a_tiff(pointer: Tag) -> None:
    """Nor does Pillow come to warn of it."""
    read = picture.read(tiff_file(PIXELS, exif_data(text(315, "someone"), pointer), {315, EXIF, GPS}), Limits())
    np.testing.assert_array_equal(read.pixels, PIXELS)
    assert read.notes == ("dropped damaged EXIF folders",) and b"someone" in (read.exif or b"")


def test_maker_notes_keep_their_place(tmp_path: Path) -> None:
    """Their makers put offsets into them, from the start of the EXIF data."""
    maker_note = Tag(0x927C, 7, 64, bytes(range(64)))
    for wanted in ([], [short(274, 6)]):
        exif = exif_data(text(271, "Maker"), *wanted, folder(EXIF, maker_note))
        Image.fromarray(PIXELS).save(tmp_path / "a.jpg", exif=b"Exif\0\0" + exif)
        read = picture.read(tmp_path / "a.jpg", Limits())
        assert (read.exif or b"").index(maker_note.value) == exif.index(maker_note.value)


def test_a_thumbnail_stays_as_long_as_the_picture_lies_as_it_does(tmp_path: Path) -> None:
    thumbnail = b"\x01\0" + b"\x03\x01\x03\0\x01\0\0\0\x06\0\0\0" + bytes(4) + b"a thumbnail"
    for orientation in (1, 3):
        exif = exif_data(short(274, orientation), text(315, "someone"), following=thumbnail)
        Image.fromarray(PIXELS).save(tmp_path / "a.jpg", exif=b"Exif\0\0" + exif)
        kept = picture.read(tmp_path / "a.jpg", Limits()).exif or b""
        assert (b"a thumbnail" in kept) == (orientation == 1) and b"someone" in kept


@pytest.mark.parametrize("name", ["abc", "someone"])
def test_nothing_of_a_thumbnail_stays_behind_the_rest(name: str) -> None:
    """Whether the rest ends with a value or, where all are short enough to stand in it, with the table."""
    tags = short(274, 3), text(315, name)
    kept = cleaned(exif_data(*tags, following=b"\0\0\0\0\0\0a thumbnail")).data
    assert kept is not None and len(kept) == len(exif_data(*tags)) and name.encode() in kept


@pytest.mark.parametrize("picture_format", ["png", "webp", "tif", "jpg"])
def test_an_upright_picture_is_not_turned_again(picture_format: str) -> None:
    """As its reader would, if metadata of a coded picture still asked for it."""
    xmp = b"<x tiff:Orientation='6'><tiff:Orientation>8</tiff:Orientation></x>"
    source = picture.Picture(PIXELS, None, exif_data(short(274, 6), text(315, "someone")), xmp)
    data = as_file(source, picture_format).data
    with Image.open(io.BytesIO(data)) as image:
        assert image.size == (7, 5) and image.getexif().get(274, 1) == 1
        stored = image.info["xmp"]
    assert stored == b"<x tiff:Orientation='1'><tiff:Orientation>1</tiff:Orientation></x>"


def test_an_orientation_that_only_xmp_states_is_applied(tmp_path: Path) -> None:
    xmp = b'<x tiff:Orientation="6"/>'
    for name in ("a.jpg", "a.webp", "a.tif"):
        Image.fromarray(PIXELS).save(tmp_path / name, **({"tiffinfo": {700: xmp}} if name == "a.tif" else {"xmp": xmp}))
        read = picture.read(tmp_path / name, Limits())
        assert read.pixels.shape == (7, 5, 3) and read.orientation == 6 and read.xmp == b'<x tiff:Orientation="1"/>'


# Files that failed once


@pytest.mark.parametrize("name", ["exif-subifd.jpg", "exif-photometric1.jpg", "exif-attribute-error.webp"])
def test_faulty_exif_is_coded_and_decoded_to_every_format(tmp_path: Path, mosaic: Codec, name: str) -> None:
    coded = tmp_path / "a.edgc"
    assert run_command("encode", PICTURES / name, *STUB, "-o", coded).status == 0
    expected = mosaic.decode(coded).pixels
    for picture_format in LOSSLESS:
        written = tmp_path / f"a.{picture_format}"
        assert run_command("decode", coded, *STUB, "-o", written).status == 0
        np.testing.assert_array_equal(_pixels(written.read_bytes(), picture_format), expected)
    if name == "exif-subifd.jpg":
        with Image.open(tmp_path / "a.tif") as image:
            assert image.getexif()[271] == "Maker"
            assert image.getexif().get_ifd(EXIF) == {36867: "2021:03:04 05:06:07"}


def test_a_coded_picture_with_faulty_exif_is_decoded_with_the_others(
    tmp_path: Path, mosaic: Codec, coded: bytes
) -> None:
    faulty = container.parse((PICTURES / "exif-type-error.edgc").read_bytes())
    file = container.parse(coded)
    recoded = container.write(
        file.payload, width=96, height=64, lanes=file.info.lanes, model_id=file.info.model_id, exif=faulty.exif
    )
    for name, data in (("a", coded), ("b", recoded), ("c", coded)):
        (tmp_path / f"{name}.edgc").write_bytes(data)
    done = run_command("decode", tmp_path, *STUB, "-o", f"{tmp_path}/out/", "--format", "tif")
    assert done.status == 0
    for name in "abc":
        np.testing.assert_array_equal(
            np.asarray(Image.open(tmp_path / "out" / f"{name}.tif")), mosaic.decode(coded).pixels
        )


# What formats cannot hold


@pytest.mark.parametrize("picture_format", ["bmp", "ppm", "npy"])
def test_formats_without_metadata_say_so(picture_format: str) -> None:
    exif = exif_data(text(315, "someone"))
    icc = bytes(16) + b"RGB " + bytes(100)
    _, notes = as_file(picture.Picture(PIXELS, icc, exif, b"<x/>"), picture_format)
    assert notes == (
        f"dropped an ICC profile: {picture_format} holds none",
        f"dropped EXIF data: {picture_format} holds none",
        f"dropped XMP: {picture_format} holds none",
    )
    assert as_file(picture.Picture(PIXELS), picture_format).notes == ()


@pytest.mark.parametrize("more", [0, 1])
def test_jpeg_holds_so_much_and_no_more(more: int) -> None:
    """The sizes of its segments."""
    exif = exif_data(Tag(315, 2, 65527 - 26 + more, b"e" * (65527 - 26 + more)))
    xmp = b"<".ljust(65502 + more, b"x")
    assert len(exif) == 65527 + more
    data, notes = as_file(picture.Picture(PIXELS, None, exif, xmp), "jpg")
    with Image.open(io.BytesIO(data)) as image:
        assert image.size == (7, 5) and ("exif" in image.info, "xmp" in image.info) == (not more, not more)
    assert notes == (
        (
            "dropped EXIF data: jpg holds none of more than 65527 bytes",
            "dropped XMP: jpg holds none of more than 65502 bytes",
        )
        if more
        else ()
    )


def test_the_profile_in_a_jpeg_is_whole_or_not_there() -> None:
    """It is cut into at most 255 pieces, whose number is one byte."""
    for size in (255 * 65519, 255 * 65519 + 1):
        icc = (bytes(16) + b"RGB ").ljust(size, b"i")
        data, notes = as_file(picture.Picture(PIXELS, icc), "jpg")
        with Image.open(io.BytesIO(data)) as image:
            assert image.info.get("icc_profile") == (None if notes else icc)
        assert bool(notes) == (size > 255 * 65519)


def test_xmp_that_is_no_text_is_not_put_into_a_png() -> None:
    data, notes = as_file(picture.Picture(PIXELS, xmp="<x/>".encode("utf-16")), "png")
    assert notes == ("dropped XMP: png holds none that is not UTF-8",)
    np.testing.assert_array_equal(_pixels(data, "png"), PIXELS)


def test_the_command_line_says_what_was_dropped(tmp_path: Path) -> None:
    coded = tmp_path / "a.edgc"
    assert run_command("encode", PICTURES / "tiff-with-exif.tif", *STUB, "-o", coded).status == 0
    done = run_command("decode", coded, *STUB, "--json", "-o", tmp_path / "a.bmp")
    assert done.records[0]["notes"] == ["dropped EXIF data: bmp holds none"]
    assert f"{coded}: dropped EXIF data: bmp holds none" in done.talk.splitlines()


def test_a_picture_too_large_for_its_format_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="cannot be written as WEBP"):
        as_file(picture.Picture(np.zeros((1, 16384), np.uint8)), "webp")


# TIFF files as inputs


def test_exif_of_a_tiff_is_carried(mosaic: Codec) -> None:
    encoded = mosaic.encode(PICTURES / "tiff-with-exif.tif")
    kept = Image.Exif()
    kept.load(mosaic.decode(encoded.data).exif or b"")
    assert dict(kept) == {315: "Somebody", 33432: "(c) Somebody"} and encoded.notes == ()


@ignoring_pillow
@settings(max_examples=100)
@given(drawn=_exif())
def test_any_folders_of_a_tiff_leave_its_pixels_alone(drawn: tuple[bytes, dict[int, str]]) -> None:
    exif, texts = drawn
    file = tiff_file(PIXELS, exif, {*DESCRIPTIVE, EXIF, GPS, INTEROPERABILITY})
    try:
        read = picture.read(file, Limits())
    except NotAnImage:  # Pillow before 13 refuses some of these, which is not what this test is about
        assert int(PIL.__version__.split(".")[0]) < 13
        return
    np.testing.assert_array_equal(read.pixels, PIXELS)
    kept = Image.Exif()
    kept.load(read.exif or b"")
    assert set(texts) <= set(kept)
