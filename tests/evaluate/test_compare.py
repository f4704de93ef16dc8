"""A page for comparison holds the very pixels, true numbers and nothing from outside, whatever its files are called."""

from __future__ import annotations

import base64
import hashlib
import io
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageCms

from edgecodec.codec import Codec
from edgecodec.errors import InvalidArgument, LimitExceeded
from edgecodec.limits import Limits
from edgecodec_evaluate.page import as_html, comparing, comparison
from edgecodec_evaluate.page.comparing import knob_points
from edgecodec_evaluate.page.content import Content, Embedded, Point
from edgecodec_evaluate.page.embedding import embedded
from support.command_line import Outcome, run_command
from support.make_bundles import plain, with_qualities
from support.page_file import PageFile
from support.paths import DATA, ENVIRONMENT, TINY

PARROTS = DATA / "photos" / "parrots.png"
ALPHAS = [0.0, 0.5, 1.0]  # of the tiny bundle


@pytest.fixture
def place(tmp_path: Path, coded: bytes, pixels: npt.NDArray[np.uint8]) -> Path:
    """A folder with a photograph, and the same one coded, as JPEG and as PNG."""
    (tmp_path / "photo.png").write_bytes(PARROTS.read_bytes())
    (tmp_path / "photo.edgc").write_bytes(coded)
    Image.fromarray(pixels).save(tmp_path / "small.jpg", quality=30)
    Image.fromarray(pixels).save(tmp_path / "same.png", optimize=True)
    return tmp_path


def compare(place: Path, *names: str, options: tuple[object, ...] = ()) -> Outcome:
    """The first of the names is the original."""
    paths = [place / name for name in names]
    common = ("-b", TINY, "--engine", "onnxruntime", "-j", 1, "-o", place / "page.html")
    return run_command("compare", *paths, *common, *options)


def page_of(place: Path, *names: str, options: tuple[object, ...] = ()) -> PageFile:
    outcome = compare(place, *names, options=options)
    assert outcome.status == 0, outcome.talk
    return PageFile((place / "page.html").read_bytes())


def facts(page: PageFile) -> list[dict[str, str]]:
    return [dict(point["facts"]) for point in page.content["points"]]


# ---- what is shown -------------------------------------------------------------------------------------------------


def test_pixels_are_those_of_the_decoder_bit_for_bit(
    place: Path, codec: Codec, coded: bytes, pixels: npt.NDArray[np.uint8]
) -> None:
    page = page_of(place, "photo.png", "photo.edgc", "small.jpg")
    expected = [pixels, *(codec.decode(coded, alpha=alpha).pixels for alpha in ALPHAS)]
    expected.append(np.asarray(Image.open(place / "small.jpg")))
    assert len({each.tobytes() for each in expected}) == 5
    assert len(page.pictures) == 5  # each once
    for shown, each in zip(page.pictures, expected, strict=True):
        np.testing.assert_array_equal(shown, each)


def test_points_have_names_files_sizes_and_scores(place: Path, codec: Codec, coded: bytes) -> None:
    page = page_of(place, "photo.png", "photo.edgc", "small.jpg", "same.png")
    points = page.content["points"]
    names = ["original", "hific alpha 0", "hific alpha 0.5", "hific alpha 1", "JPEG", "PNG"]
    assert [point["name"] for point in points] == names
    assert [point["file"] for point in points] == ["photo.png", *3 * ["photo.edgc"], "small.jpg", "same.png"]
    for point, shown in zip(points, facts(page), strict=True):
        size = (place / point["file"]).stat().st_size
        assert shown["size"] == f"{size:,} bytes" and shown["rate"] == f"{8 * size / (96 * 64):.3f} bpp"
    original = page.pictures[0].astype(float)
    for shown, picture in zip(facts(page)[1:5], page.pictures[1:5], strict=True):
        error = np.mean((picture.astype(float) - original) ** 2)
        assert shown["PSNR"] == f"{10 * np.log10(255**2 / error):.2f} dB"
    assert facts(page)[5]["PSNR"] == "lossless" and "PSNR" not in facts(page)[0]
    assert page.texts["title"] == ["photo.png"] and page.texts["h1"] == ["photo.png"]
    assert (page.content["width"], page.content["height"]) == (96, 64)


@pytest.mark.parametrize(
    ("options", "names"),
    [
        (("--alpha", "1,0"), ["alpha 1", "alpha 0"]),
        (("--alpha", "0.5"), ["alpha 0.5"]),
        (("--knob", "alpha=0,0,1"), ["alpha 0", "alpha 1"]),
    ],
)
def test_values_of_a_knob_are_points(place: Path, options: tuple[str, ...], names: list[str]) -> None:
    page = page_of(place, "photo.png", "photo.edgc", options=options)
    assert [point["name"] for point in page.content["points"][1:]] == [f"hific {name}" for name in names]


def test_every_combination_of_knobs_is_a_point_and_quality_is_the_files(tmp_path: Path) -> None:
    bundle = with_qualities({0.0: 0.125, 4.0: 1.0}, (0.0, 20.0)).write(tmp_path / "test.bundle")
    picture = tmp_path / "photo.png"
    picture.write_bytes(PARROTS.read_bytes())
    for quality in (0, 4):
        options = ("-b", bundle, "--quality", quality, "-o", tmp_path / f"{quality}.edgc")
        assert run_command("encode", picture, *options).status == 0
    files = [tmp_path / "4.edgc", tmp_path / "0.edgc"]
    assert run_command("compare", picture, *files, "-b", bundle).status == 0
    points = PageFile((tmp_path / "photo.html").read_bytes()).content["points"][1:]
    family = points[0]["name"].split()[0]
    assert [(point["file"], point["name"]) for point in points] == [
        (f"{quality}.edgc", f"{family} quality {quality} beta {beta}") for quality in (4, 0) for beta in (0, 20)
    ]


def test_points_are_the_product_of_the_values(codec: Codec) -> None:
    assert knob_points(codec.info, {}) == [{"alpha": alpha} for alpha in ALPHAS]
    asked: dict[str, list[float]] = {"beta": [1.0, 2.0], "alpha": [0.0, 1.0]}
    assert knob_points(codec.info, asked) == [{"alpha": a, "beta": b} for a in (0.0, 1.0) for b in (1.0, 2.0)]


def test_a_bundle_without_knobs_has_one_point(tmp_path: Path) -> None:
    bundle = plain().write(tmp_path / "test.bundle")
    (tmp_path / "photo.png").write_bytes(PARROTS.read_bytes())
    assert run_command("encode", tmp_path / "photo.png", "-b", bundle).status == 0
    assert run_command("compare", tmp_path / "photo.png", tmp_path / "photo.edgc", "-b", bundle).status == 0
    page = PageFile((tmp_path / "photo.html").read_bytes())
    assert len(page.pictures) == 2 and " " not in page.content["points"][1]["name"]


def test_pictures_are_turned_upright(place: Path, pixels: npt.NDArray[np.uint8]) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # stored turned to the left
    stored = Image.fromarray(pixels).transpose(Image.Transpose.ROTATE_90)
    for name in ("turned.png", "turned.webp"):
        stored.save(place / name, exif=exif, lossless=True)
    page = page_of(place, "turned.png", "photo.edgc", "turned.webp", options=("--alpha", 0))
    np.testing.assert_array_equal(page.pictures[0], pixels)
    np.testing.assert_array_equal(page.pictures[2], pixels)
    assert facts(page)[2]["PSNR"] == "lossless"


def test_what_was_changed_in_a_picture_is_said(place: Path, pixels: npt.NDArray[np.uint8]) -> None:
    Image.fromarray(pixels).convert("RGBA").save(place / "clear.png")
    refused = compare(place, "clear.png", "photo.edgc")
    assert refused.status == 2 and "--alpha-channel" in refused.talk
    told = compare(place, "clear.png", "photo.edgc", options=("--alpha-channel", "white", "--alpha", 0))
    assert told.status == 0 and "clear.png: transparency: white" in told.talk


def test_greyscale_is_compared_with_colours(place: Path, pixels: npt.NDArray[np.uint8]) -> None:
    Image.fromarray(pixels[:, :, 0]).save(place / "grey.png")
    Image.fromarray(np.repeat(pixels[:, :, :1], 3, axis=2)).save(place / "colours.png")
    page = page_of(place, "grey.png", "photo.edgc", "colours.png", options=("--alpha", 0))
    assert facts(page)[2]["PSNR"] == "lossless"


def test_the_colours_of_a_profile_stay_and_no_other_metadata_do(place: Path, pixels: npt.NDArray[np.uint8]) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exif = Image.Exif()
    exif[0x010E] = "where it was taken"
    Image.fromarray(pixels).save(place / "tagged.png", icc_profile=profile, exif=exif)
    page = page_of(place, "tagged.png", "photo.edgc", options=("--alpha", 0))
    first, second = (Image.open(io.BytesIO(file)) for file in page.files)
    assert first.info["icc_profile"] == profile and "icc_profile" not in second.info
    assert not first.getexif() and page.content["wide"] is True
    assert page_of(place, "photo.png", "photo.edgc", options=("--force",)).content["wide"] is False


# ---- scores --------------------------------------------------------------------------------------------------------


def test_it_works_without_torch(place: Path) -> None:
    """And shows no MS-SSIM then."""
    code = """
import sys
for name in ("torch", "pytorch_msssim"):
    sys.modules[name] = None
from importlib import util
found = util.find_spec
util.find_spec = lambda name, *more: None if name in ("torch", "pytorch_msssim") else found(name, *more)
from edgecodec import cli
cli.main()
"""
    large = Image.open(place / "photo.png").resize((192, 192))
    large.save(place / "large.png")
    large.save(place / "large.jpg")
    options = ["-b", str(TINY), "--engine", "stub", "-o", "page.html"]
    command = [sys.executable, "-c", code, "compare", "large.png", "large.jpg", *options]
    done = subprocess.run(command, cwd=place, env=ENVIRONMENT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert list(facts(PageFile((place / "page.html").read_bytes()))[1]) == ["size", "rate", "PSNR"]


# ---- the file ------------------------------------------------------------------------------------------------------


def test_the_smaller_of_two_lossless_formats_is_embedded(pixels: npt.NDArray[np.uint8]) -> None:
    assert formats_of(pixels) == "webp"
    noise = np.random.default_rng(0).integers(0, 256, (1, 32, 3), np.uint8)
    assert formats_of(noise) == "png"
    wide = np.zeros((1, 16384, 3), np.uint8)
    assert formats_of(wide) == "png"  # too wide for WebP


def formats_of(pixels: npt.NDArray[np.uint8]) -> str:
    from edgecodec.picture import from_pixels

    found = embedded(from_pixels(pixels))
    image = Image.open(io.BytesIO(found.data))
    np.testing.assert_array_equal(np.asarray(image.convert("RGB")), np.asarray(Image.fromarray(pixels).convert("RGB")))
    assert image.format is not None and image.format.lower() == found.format
    return found.format


def test_nothing_comes_from_outside_and_nothing_else_runs(place: Path) -> None:
    page = page_of(place, "photo.png", "photo.edgc")
    data = (place / "page.html").read_bytes()
    (policy,) = (each["content"] or "" for each in page.of("meta") if each.get("http-equiv"))
    script, style = page.texts["script"][-1], page.texts["style"][0]

    def source(text: str) -> str:
        return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"

    assert policy.split("; ") == [
        "default-src 'none'",
        "img-src data:",
        f"style-src {source(style)}",
        f"script-src {source(script)}",
        "base-uri 'none'",
        "form-action 'none'",
    ]
    assert b"://" not in data and b"@import" not in data and b"url(" not in data
    for _, attributes in page.elements:
        assert not any(name.startswith("on") or name == "style" for name in attributes)
        for name in ("src", "href"):
            assert (attributes.get(name) or "data:").startswith("data:")


@pytest.mark.parametrize(
    "name",
    [
        "<script>alert(1)</script>.png",
        '" onload="alert(1).png',
        "</script><img src=x>.png",
        "</script x.png",
        "$title ${script} $$ &lt;b&gt;.png",
        "<!--<script>.png",
        "\u2028line\nbreak.png",
        "\udcff.png",
    ],
    ids=ascii,
)
def test_no_name_becomes_markup(name: str, pixels: npt.NDArray[np.uint8]) -> None:
    def content(file: str) -> Content:
        embedded = Embedded("png", b"data", False)
        return Content(file, 96, 64, (Point(file, file, 1, 1.0, 1.0, None, embedded),) * 2)

    page, harmless = PageFile(as_html(content(name))), PageFile(as_html(content("photo.png")))
    assert [each for each, _ in page.elements] == [each for each, _ in harmless.elements]
    assert [set(each) for _, each in page.elements] == [set(each) for _, each in harmless.elements]
    assert not set("<>&") & set(page.texts["script"][0])
    shown = name.replace("\udcff", "\\udcff")
    assert page.texts["title"] == page.texts["h1"] == [shown]
    assert page.content["points"][1]["name"] == page.content["points"][1]["file"] == name
    assert page.texts["script"][-1] == harmless.texts["script"][-1]


def test_hostile_names_on_disk(place: Path) -> None:
    for name in ('"><script>alert(1)<', "<b>"):
        (place / f"{name}.png").write_bytes(PARROTS.read_bytes())
    page = page_of(place, '"><script>alert(1)<.png', "<b>.png")
    assert [point["file"] for point in page.content["points"]] == ['"><script>alert(1)<.png', "<b>.png"]
    assert len(page.of("script")) == 2 and len(page.of("b")) == 1


def test_the_same_files_give_the_same_page(place: Path) -> None:
    pages = []
    for _ in range(2):
        page_of(place, "photo.png", "photo.edgc", "small.jpg", options=("--force",))
        pages.append((place / "page.html").read_bytes())
    assert pages[0] == pages[1]


def test_the_parts_end_no_element_early() -> None:
    folder = Path(comparing.__file__).parent
    style, script = (folder / "page.css").read_text("utf-8"), (folder / "page.js").read_text("utf-8")
    assert "</style" not in style and "</script" not in script and "<!--" not in script
    assert "\r" not in style + script  # which browsers change before they hash
    template = (folder / "page.html").read_text("utf-8")
    named = {"policy", "title", "width", "height", "style", "script", "content", "pictures"}
    assert set(re.findall(r"\$(\w+)", template)) == named


# ---- the command ---------------------------------------------------------------------------------------------------


def test_the_command_says_how_large_the_page_is(place: Path) -> None:
    outcome = compare(place, "photo.png", "photo.edgc", options=("--alpha", "0,1"))
    size = (place / "page.html").stat().st_size
    assert f"page.html: 3 pictures of 96x64 (3 as lossless WebP), {size:,} bytes" in outcome.talk
    assert re.search(r"photo\.edgc, hific alpha 1: [\d,]+ bytes, [\d.]+ bpp, PSNR [\d.]+ dB\n", outcome.talk)
    assert outcome.output == b""


def test_the_record_is_complete(place: Path) -> None:
    outcome = compare(place, "photo.png", "photo.edgc", "same.png", options=("--json", "--alpha", "0"))
    (record,) = outcome.records
    page = PageFile((place / "page.html").read_bytes())
    assert record["ok"] and record["bytes"] == (place / "page.html").stat().st_size
    assert (record["width"], record["height"]) == (96, 64)
    assert [point["name"] for point in record["points"]] == ["original", "hific alpha 0", "PNG"]
    assert [point["embedded_bytes"] for point in record["points"]] == [len(file) for file in page.files]
    assert {point["embedded_format"] for point in record["points"]} == {"webp"}
    assert record["points"][1]["psnr"] > 10 and record["points"][2]["psnr"] is None  # JSON has no infinity
    assert record["points"][1]["file_bytes"] == (place / "photo.edgc").stat().st_size


def test_a_picture_of_another_size_is_refused_before_any_decode(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*anything: Any, **more: Any) -> None:
        raise AssertionError("nothing is to be decoded")

    monkeypatch.setattr(Codec, "decode", refused)
    Image.open(place / "photo.png").crop((0, 0, 64, 96)).save(place / "other.png")
    for names in (("photo.png", "photo.edgc", "other.png"), ("other.png", "photo.edgc")):
        outcome = compare(place, *names)
        assert outcome.status == 2 and names[-1] in outcome.talk
        assert "96x64" in outcome.talk and "64x96" in outcome.talk and "hint:" in outcome.talk
        assert not (place / "page.html").exists()


@pytest.mark.parametrize(
    ("names", "options", "status", "words"),
    [
        (("absent.png", "photo.edgc"), (), 7, "absent.png"),
        (("photo.png", "absent.edgc"), (), 7, "absent.edgc"),
        (("photo.png", "photo.edgc"), ("--alpha", "0.25"), 4, "alpha"),
        (("photo.png", "photo.edgc"), ("--beta", "1"), 4, "beta"),
        (("photo.png", "photo.edgc"), ("--alpha", "a"), 2, "--alpha"),
        (("photo.png", "photo.edgc"), ("--alpha", "0", "--knob", "alpha=1"), 2, "given twice"),
        (("photo.png", "photo.edgc"), ("-o", "-", "--json"), 2, "standard output"),
        (("photo.png", "photo.edgc"), ("-o", "/absent/page.html"), 7, "no such folder"),
        (("photo.png", "photo.edgc"), ("-o", "n" * 251 + ".html"), 7, "256 bytes"),
        (("photo.png", "photo.edgc"), ("--max-pixels", "100"), 5, "100"),
        (("photo.png", "photo.edgc"), ("--engine", "tensorflow"), 2, "no engine"),
        (("photo.edgc", "photo.edgc"), (), 7, "photo.edgc"),
        (("photo.png",), (), 2, "FILE..."),
        (("photo.png", "bundle.edgc"), (), 2, "is a bundle"),
    ],
)
def test_what_is_refused(
    place: Path, names: tuple[str, ...], options: tuple[str, ...], status: int, words: str
) -> None:
    (place / "bundle.edgc").symlink_to(TINY)
    outcome = compare(place, *names, options=options)
    assert outcome.status == status and words in outcome.talk, outcome.talk
    assert not (place / "page.html").exists()


@pytest.mark.parametrize(("name", "said"), [("", "it is empty"), (".", "names no picture")])
def test_an_original_without_a_name_is_refused(place: Path, name: str, said: str) -> None:
    outcome = run_command("compare", name, place / "photo.edgc", "-b", TINY)
    assert outcome.status == 2 and said in outcome.talk


def test_pictures_that_are_not_coded_need_no_bundle(place: Path) -> None:
    outcome = run_command("compare", place / "photo.png", place / "small.jpg", "--json")
    (record,) = outcome.records
    assert [point["name"] for point in record["points"]] == ["original", "JPEG"]
    assert len(PageFile((place / "photo.html").read_bytes()).pictures) == 2


def test_a_coded_picture_without_a_bundle_is_said_before_any_work(place: Path) -> None:
    outcome = run_command("compare", place / "photo.png", place / "small.jpg", place / "photo.edgc")
    assert outcome.status == 2 and "photo.edgc: is a coded picture. hint: -b" in outcome.talk
    assert "PSNR" not in outcome.talk and not (place / "photo.html").exists()
    with pytest.raises(InvalidArgument, match="no codec"):
        comparison(str(place / "photo.png"), [str(place / "photo.edgc")], None, {}, Limits())


def test_a_name_that_is_empty_is_said_to_be(place: Path) -> None:
    outcome = run_command("compare", place / "photo.png", place / "small.jpg", "")
    assert outcome.status == 2 and "the name of an input is empty" in outcome.talk


@pytest.mark.parametrize("options", [("--alpha", "0,1"), ("--knob", "alpha=1")])
def test_values_of_knobs_without_a_bundle_are_refused(place: Path, options: tuple[str, ...]) -> None:
    """They would say nothing, and a person may believe in what they asked for."""
    outcome = run_command("compare", place / "photo.png", place / "small.jpg", *options)
    assert outcome.status == 2 and "no bundle whose decoders have alpha. hint: -b" in outcome.talk
    assert not (place / "photo.html").exists()


@pytest.mark.parametrize(("name", "taken"), [("page", False), ("page.txt", False), ("page.HTM", True)])
def test_a_page_is_called_so_that_a_browser_shows_it(place: Path, name: str, taken: bool) -> None:
    outcome = run_command("compare", place / "photo.png", place / "small.jpg", "-o", place / name)
    assert (place / name).exists() == taken
    assert outcome.status == (0 if taken else 2) and (taken or f"give {place / name}.html" in outcome.talk)


def test_a_folder_in_the_place_of_the_page_is_said_before_any_work(place: Path) -> None:
    for more in ((), ("--force",)):
        outcome = compare(place, "photo.png", "photo.edgc", options=("-o", place, *more))
        assert outcome.status == 7 and "is a folder" in outcome.talk and "PSNR" not in outcome.talk


def test_a_page_that_is_there_is_kept_unless_forced(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (place / "page.html").write_text("mine")
    outcome = compare(place, "photo.png", "photo.edgc")
    assert outcome.status == 2 and "--force" in outcome.talk and (place / "page.html").read_text() == "mine"
    assert compare(place, "photo.png", "photo.edgc", options=("--force", "--alpha", 0)).status == 0
    assert (place / "page.html").read_bytes().startswith(b"<!doctype html>")


def test_an_input_is_never_overwritten(place: Path) -> None:
    for name in ("photo.png", "photo.edgc", "small.jpg"):
        before = (place / name).read_bytes()
        options = ("--force", "-o", place / name)
        outcome = compare(place, "photo.png", "photo.edgc", "small.jpg", options=options)
        assert outcome.status == 2 and "is the input" in outcome.talk
        assert (place / name).read_bytes() == before


def test_a_page_to_standard_output(place: Path) -> None:
    outcome = compare(place, "photo.png", "photo.edgc", options=("-o", "-", "--alpha", 0))
    assert outcome.status == 0 and len(PageFile(outcome.output).pictures) == 2


def test_more_than_a_browser_opens_is_refused(place: Path, codec: Codec, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [str(place / name) for name in ("photo.png", "small.jpg", "same.png")]
    content = comparison(names[0], names[1:], codec, {}, Limits())
    size = sum(len(point.picture.data) for point in content.points)
    monkeypatch.setattr(comparing, "MOST_BYTES", size)
    assert comparison(names[0], names[1:], codec, {}, Limits()) == content
    monkeypatch.setattr(comparing, "MOST_BYTES", size - 1)
    with pytest.raises(LimitExceeded, match="the pictures take more than"):
        comparison(names[0], names[1:], codec, {}, Limits())
