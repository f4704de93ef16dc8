"""Labels and masks reach the file exactly as given, and whatever does not fit the picture or the bundle is refused."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

import edgecodec
from edgecodec.bundle import BundleInfo
from edgecodec.codec import Codec
from edgecodec.errors import CannotRead, InvalidArgument, KnobUnavailable, LimitExceeded
from edgecodec.limits import Limits
from edgecodec.picture import read_numbers
from support.command_line import run_command
from support.make_bundles import BLOCK, CLASSES, LEVEL, plain, synthesised, with_labels
from support.png_files import grey_png

HEIGHT, WIDTH = 43, 70  # no multiples of anything
ROWS, COLUMNS = 48, 80  # of the entropy model, whose alignment is 16

Pixels = npt.NDArray[np.uint8]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return with_labels().write(tmp_path_factory.mktemp("labels") / "test.bundle")


@pytest.fixture(scope="module")
def codec(bundle: Path) -> Iterator[Codec]:
    with edgecodec.open_bundle(bundle, "onnxruntime", threads=1) as opened:
        yield opened


@pytest.fixture(scope="module")
def picture() -> Pixels:
    """Blocks of the few levels that the codec has."""
    levels = np.random.default_rng(1).integers(-2, 3, (3, ROWS // BLOCK, COLUMNS // BLOCK))
    return synthesised(LEVEL * levels)[:HEIGHT, :WIDTH]


@pytest.fixture(scope="module")
def labels() -> Pixels:
    return np.random.default_rng(2).integers(0, len(CLASSES), (HEIGHT, WIDTH), np.uint8)


def _cells(kept: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Kept or not of every block of the padded picture, one by one."""
    cells = np.zeros((ROWS // BLOCK, COLUMNS // BLOCK), int)
    for row, column in np.argwhere(kept):
        cells[row // BLOCK, column // BLOCK] = 1
    return cells


# ---- labels --------------------------------------------------------------------------------------------------------


def test_labels_survive_and_reach_the_decoder(codec: Codec, picture: Pixels, labels: Pixels) -> None:
    data = codec.encode(picture, labels=labels).data
    latents = codec.decode_latents(data)
    np.testing.assert_array_equal(latents["labels"][0, :HEIGHT, :WIDTH], labels)
    expected = np.minimum(synthesised(LEVEL * latents["y"])[:HEIGHT, :WIDTH].astype(int) + labels[:, :, None], 255)
    np.testing.assert_array_equal(codec.decode(data).pixels, expected)


def test_labels_repeat_beyond_the_edge(codec: Codec, picture: Pixels, labels: Pixels) -> None:
    coded = codec.decode_latents(codec.encode(picture, labels=labels).data)["labels"][0]
    assert coded.shape == (ROWS, COLUMNS)
    for row in range(ROWS):
        for column in range(COLUMNS):
            assert coded[row, column] == labels[min(row, HEIGHT - 1), min(column, WIDTH - 1)]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int64])
def test_any_whole_numbers_will_do(codec: Codec, picture: Pixels, labels: Pixels, dtype: type) -> None:
    assert codec.encode(picture, labels=labels.astype(dtype)).data == codec.encode(picture, labels=labels).data


def _png(image: Image.Image, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, "PNG", **options)
    return out.getvalue()


def _palette(labels: Pixels, **options: Any) -> bytes:
    image = Image.fromarray(labels).convert("P")
    image.putdata(labels.ravel())
    image.putpalette(np.random.default_rng(3).integers(0, 256, 768).astype(np.uint8).tobytes())
    return _png(image, **options)


def test_label_files_are_numbers_not_colours(codec: Codec, picture: Pixels, labels: Pixels, tmp_path: Path) -> None:
    files = [
        _png(Image.fromarray(labels)),
        _png(Image.fromarray(labels.astype(np.uint16))),
        *(grey_png(labels, depth) for depth in (2, 4, 8)),
        *(_palette(labels, bits=bits) for bits in (2, 4, 8)),
    ]
    expected = codec.encode(picture, labels=labels).data
    for file in files:
        np.testing.assert_array_equal(read_numbers(file, Limits()), labels)
        (tmp_path / "labels.png").write_bytes(file)
        assert codec.encode(picture, labels=tmp_path / "labels.png").data == expected


def test_one_bit_is_zero_or_one(labels: Pixels) -> None:
    bits = labels & 1
    numbers = read_numbers(grey_png(bits, 1), Limits())
    np.testing.assert_array_equal(numbers, bits)
    assert numbers.dtype.kind in "iu"


@pytest.mark.parametrize("plain", [False, True])
def test_bits_of_files_where_one_is_black(labels: Pixels, plain: bool) -> None:
    bits = labels & 1
    height, width = bits.shape
    body = " ".join(map(str, bits.ravel())).encode() if plain else np.packbits(bits, axis=1).tobytes()
    file = b"P%d %d %d\n" % (1 if plain else 4, width, height) + body
    np.testing.assert_array_equal(read_numbers(file, Limits()), bits)


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
@pytest.mark.parametrize("white_is_zero", [False, True])
def test_label_files_in_tiff(labels: Pixels, bits: int, white_is_zero: bool) -> None:
    """What is stored counts, whichever end of it is white."""
    numbers = labels & ((1 << bits) - 1)
    height, width = numbers.shape
    spread = (numbers[..., None] >> np.arange(bits - 1, -1, -1, dtype=np.uint8)) & 1
    body = np.packbits(spread.reshape(height, -1), axis=1).tobytes()
    tags = [(256, width), (257, height), (258, bits), (259, 1), (262, 0 if white_is_zero else 1), (273, 8)]
    tags += [(277, 1), (278, height), (279, len(body))]
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    folder = struct.pack("<H", len(tags)) + entries + bytes(4)
    file = b"II*\0" + struct.pack("<I", 8 + len(body)) + body + folder
    np.testing.assert_array_equal(read_numbers(file, Limits()), numbers)


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize("largest", [1, 3, 10, 100, 254, 255, 256, 1000, 40000, 65534, 65535])
def test_label_files_of_any_largest_number(largest: int, plain: bool) -> None:
    """A PGM file says which number is white."""
    numbers = np.unique(np.linspace(0, largest, 1000).astype(">u2"))[None]
    binary = numbers.tobytes() if largest > 255 else numbers.astype(np.uint8).tobytes()
    body = " ".join(map(str, numbers[0])).encode() if plain else binary
    file = b"P%d %d 1 %d\n" % (2 if plain else 5, numbers.size, largest) + body
    np.testing.assert_array_equal(read_numbers(file, Limits()), numbers)


def test_label_files_of_colours_are_refused(codec: Codec, picture: Pixels, tmp_path: Path) -> None:
    Image.fromarray(picture).save(tmp_path / "colours.png")
    with pytest.raises(InvalidArgument, match="mode RGB") as caught:
        codec.encode(picture, labels=tmp_path / "colours.png")
    assert caught.value.where == str(tmp_path / "colours.png") and "palette" in (caught.value.hint or "")


def test_label_files_that_are_damaged_or_too_large(labels: Pixels) -> None:
    with pytest.raises(CannotRead):
        read_numbers(_png(Image.fromarray(labels))[:-40], Limits())
    with pytest.raises(LimitExceeded):
        read_numbers(_png(Image.fromarray(labels)), Limits(max_pixels=100))


def test_labels_are_needed(codec: Codec, picture: Pixels) -> None:
    with pytest.raises(InvalidArgument) as caught:
        codec.encode(picture)
    assert "give labels" in (caught.value.hint or "")


def test_labels_of_another_size(codec: Codec, picture: Pixels, labels: Pixels) -> None:
    for wrong in (labels[:-1], labels[:, 1:], labels[:, :, None], labels.T):
        with pytest.raises(InvalidArgument) as caught:
            codec.encode(picture, labels=wrong)
        assert caught.value.message.endswith("the picture of (43, 70)")


def _turned(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


@pytest.mark.parametrize(("orientation", "quarters"), [(3, 2), (6, 3)])
def test_maps_and_masks_are_of_the_picture_as_it_is_shown(
    codec: Codec, picture: Pixels, labels: Pixels, tmp_path: Path, orientation: int, quarters: int
) -> None:
    """quarters: counterclockwise, from what is stored to what is shown."""
    stored, exif = tmp_path / "stored.png", _turned(orientation)
    Image.fromarray(np.rot90(picture, -quarters).copy()).save(stored, exif=exif)
    mask = labels == 2
    expected = codec.encode(picture, labels=labels, keep=mask).latents
    encoded = codec.encode(stored, labels=labels, keep=mask)
    assert encoded.notes == (f"applied EXIF orientation {orientation}",)
    np.testing.assert_equal(encoded.latents, expected)
    for name, plane in {"labels": labels, "wide": labels.astype(np.uint16), "mask": mask}.items():
        Image.fromarray(np.rot90(plane, -quarters).copy()).save(tmp_path / f"{name}.png", exif=exif)
    (tmp_path / "palette.png").write_bytes(_palette(np.rot90(labels, -quarters).copy(), exif=exif))
    for name in ("labels", "wide", "palette"):
        own = codec.encode(stored, labels=tmp_path / f"{name}.png", keep=tmp_path / "mask.png")
        np.testing.assert_equal(own.latents, expected)


def test_maps_of_a_turned_picture_as_it_is_stored(
    codec: Codec, picture: Pixels, labels: Pixels, tmp_path: Path
) -> None:
    Image.fromarray(np.rot90(picture).copy()).save(tmp_path / "stored.png", exif=_turned(6))
    with pytest.raises(InvalidArgument, match=r"of \(43, 70\) once its EXIF orientation 6 is applied") as caught:
        codec.encode(tmp_path / "stored.png", labels=np.rot90(labels))
    assert "as it is shown" in (caught.value.hint or "")


def test_what_is_wrong_with_a_file_is_said_of_that_file(
    codec: Codec, picture: Pixels, labels: Pixels, tmp_path: Path
) -> None:
    file = tmp_path / "map.png"
    for wrong in (labels + 4, labels[:-1]):
        Image.fromarray(wrong).save(file)
        with pytest.raises(InvalidArgument) as caught:
            codec.encode(picture, labels=file)
        assert caught.value.where == str(file)
    with pytest.raises(InvalidArgument) as caught:
        codec.encode(picture, labels=labels, keep=file)
    assert caught.value.where == str(file)
    for argument, short in (("labels", {"labels": labels[:-1]}), ("keep", {"labels": labels, "keep": labels[:-1]})):
        with pytest.raises(InvalidArgument) as caught:
            codec.encode(picture, labels=short["labels"], keep=short.get("keep"))
        assert caught.value.where == argument


@pytest.mark.parametrize(("label", "dtype"), [(4, np.uint8), (255, np.uint8), (-1, np.int8), (65535, np.uint16)])
def test_labels_without_a_class(codec: Codec, picture: Pixels, labels: Pixels, label: int, dtype: type) -> None:
    wrong: npt.NDArray[Any] = labels.astype(dtype)
    wrong[3, 4] = label
    with pytest.raises(InvalidArgument, match=f"there is a label {label}") as caught:
        codec.encode(picture, labels=wrong)
    assert caught.value.hint == "the classes are 0 to 3"


def test_labels_that_are_not_whole(codec: Codec, picture: Pixels, labels: Pixels) -> None:
    with pytest.raises(InvalidArgument, match="float64"):
        codec.encode(picture, labels=labels / 2)


def test_a_bundle_without_labels(tmp_path: Path, picture: Pixels, labels: Pixels) -> None:
    codec = edgecodec.open_bundle(plain().write(tmp_path / "plain.bundle"), "onnxruntime")
    with pytest.raises(KnobUnavailable, match="takes no label map"):
        codec.encode(picture, labels=labels)
    for keep in (labels, ["sky"]):
        with pytest.raises(KnobUnavailable, match="takes no mask"):
            codec.encode(picture, keep=keep)


# ---- what is kept --------------------------------------------------------------------------------------------------


def test_everything_is_kept_unless_asked(codec: Codec, picture: Pixels, labels: Pixels) -> None:
    encoded = codec.encode(picture, labels=labels)
    assert encoded.latents["mask"].min() == 1
    np.testing.assert_array_equal(codec.decode_latents(encoded.data)["y"], encoded.latents["y"])


@pytest.mark.parametrize("share", [0.0, 0.01, 0.2, 1.0])
def test_a_cell_is_kept_if_any_of_its_pixels_is(codec: Codec, picture: Pixels, labels: Pixels, share: float) -> None:
    mask = np.random.default_rng(4).random((HEIGHT, WIDTH)) < share
    encoded = codec.encode(picture, labels=labels, keep=mask)
    cells = _cells(mask)
    np.testing.assert_array_equal(encoded.latents["mask"][0], cells)
    decoded = codec.decode_latents(encoded.data)["y"]
    np.testing.assert_array_equal(decoded, np.where(cells, encoded.latents["y"], 0))


def test_what_is_not_kept_is_not_paid_for(codec: Codec, picture: Pixels, labels: Pixels) -> None:
    sizes = [
        codec.encode(picture, labels=labels, keep=np.arange(HEIGHT)[:, None] + np.zeros((1, WIDTH)) < rows)
        .info.file_bytes
        for rows in (0, 8, 24, 43)
    ]  # fmt: skip
    assert sizes == sorted(set(sizes))


def test_mask_files_and_arrays_of_any_number(codec: Codec, picture: Pixels, labels: Pixels, tmp_path: Path) -> None:
    mask = np.random.default_rng(5).random((HEIGHT, WIDTH)) < 0.02
    expected = codec.encode(picture, labels=labels, keep=mask).data
    Image.fromarray(mask).save(tmp_path / "bits.png")
    Image.fromarray((mask * 255).astype(np.uint8)).save(tmp_path / "grey.png")
    for keep in (mask * np.uint8(7), tmp_path / "bits.png", str(tmp_path / "grey.png")):
        assert codec.encode(picture, labels=labels, keep=keep).data == expected


@pytest.mark.parametrize(
    ("classes", "numbers"),
    [(["tree"], [1]), (["sky", "car"], [0, 2]), ([2], [2]), (["2"], [2]), (["1"], [3]), ([1], [1]), ([], [])],
    ids=str,
)
def test_classes_to_keep(codec: Codec, picture: Pixels, classes: list[str | int], numbers: list[int]) -> None:
    """By name or number; a name that is a number is a name."""
    labels = np.zeros((HEIGHT, WIDTH), np.uint8)
    for number in range(len(CLASSES)):
        labels[11 * number : 11 * (number + 1)] = number
    encoded = codec.encode(picture, labels=labels, keep=classes)
    assert encoded.data == codec.encode(picture, labels=labels, keep=np.isin(labels, numbers)).data


@pytest.mark.parametrize("wanted", ["trees", "4", 4, -1, ""])
def test_classes_that_do_not_exist(codec: Codec, picture: Pixels, labels: Pixels, wanted: str | int) -> None:
    with pytest.raises(InvalidArgument, match="there is no class") as caught:
        codec.encode(picture, labels=labels, keep=["sky", wanted])
    assert caught.value.hint == "the classes are sky, tree, car, 1"


def test_masks_of_another_size(codec: Codec, picture: Pixels, labels: Pixels) -> None:
    with pytest.raises(InvalidArgument, match="the picture of"):
        codec.encode(picture, labels=labels, keep=np.ones((ROWS, COLUMNS), np.uint8))


# ---- the command line ----------------------------------------------------------------------------------------------


def test_a_batch_says_which_map_of_which_picture(bundle: Path, picture: Pixels, labels: Pixels, tmp_path: Path) -> None:
    pictures, maps = tmp_path / "pictures", tmp_path / "maps"
    for folder in (pictures, maps):
        folder.mkdir()
    for name, given in {"a": labels, "b": labels + 4, "c": labels[:-1]}.items():
        Image.fromarray(picture).save(pictures / f"{name}.bmp")
        Image.fromarray(given).save(maps / f"{name}.png")
    options = ("-b", bundle, "--engine", "onnxruntime", "--labels", maps, "-o", tmp_path / "out", "--json", "-q")
    outcome = run_command("encode", pictures, *options)
    assert outcome.status == 1 and [record["ok"] for record in outcome.records] == [True, False, False]
    for name, line, record in zip("bc", outcome.talk.splitlines(), outcome.records[1:], strict=True):
        assert line.startswith(f"edgecodec: error: {pictures / name}.bmp: {maps / name}.png: ")
        assert (record["input"], record["where"]) == (f"{pictures / name}.bmp", f"{maps / name}.png")


# ---- the bundle --------------------------------------------------------------------------------------------------


def test_a_bundle_says_what_it_takes(bundle: Path) -> None:
    info = edgecodec.inspect(bundle)
    assert isinstance(info, BundleInfo)
    given = info.models[0].side_inputs
    assert given["labels"].classes == CLASSES and given["mask"].kind == "mask"
