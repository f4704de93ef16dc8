"""Knobs, labels and masks on the command line do what the library does."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

import edgecodec
from edgecodec import loading
from edgecodec.cli import knob_options
from edgecodec.engine import Engine
from edgecodec.errors import EngineUnavailable, InvalidArgument
from support.command_line import run_command as run
from support.make_bundles import Recipe, analysis, plain, synthesised, with_labels, with_noise, with_qualities

GAINS = {0.0: 0.125, 1.5: 0.25, 4.0: 1.0}


class Workplace:
    """A picture, a bundle, and commands on them."""

    def __init__(self, folder: Path, recipe: Recipe) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.bundle = recipe.write(folder / "test.bundle")
        self.pixels: npt.NDArray[np.uint8] = synthesised(np.random.default_rng(0).integers(-128, 128, (3, 8, 12)))
        Image.fromarray(self.pixels).save(folder / "in.png")
        self.codec = edgecodec.open_bundle(self.bundle, "onnxruntime", threads=1)
        self.engine = ("-b", self.bundle, "--engine", "onnxruntime")

    def encode(self, *options: object) -> bytes:
        outcome = run("encode", self.folder / "in.png", *self.engine, "-o", self.folder / "a.edgc", "--force", *options)
        assert outcome.status == 0, outcome.talk
        return (self.folder / "a.edgc").read_bytes()

    def refused(self, *options: object) -> tuple[int, str]:
        outcome = run("encode", self.folder / "in.png", *self.engine, "-o", self.folder / "no.edgc", *options)
        assert not (self.folder / "no.edgc").exists()
        return outcome.status, outcome.talk


def test_quality_and_beta(tmp_path: Path) -> None:
    place = Workplace(tmp_path, with_qualities(GAINS, (0.0, 20.0)))
    for quality in GAINS:
        assert place.encode("--quality", quality) == place.codec.encode(place.pixels, quality=quality).data
        for beta in (0, 20):
            options = ("--beta", beta, "-o", tmp_path / "out.png", "--force")
            assert run("decode", tmp_path / "a.edgc", *place.engine, *options).status == 0
            expected = place.codec.decode(tmp_path / "a.edgc", beta=beta).pixels
            np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "out.png")), expected)


def test_a_quality_that_was_not_exported(tmp_path: Path) -> None:
    status, talk = Workplace(tmp_path, with_qualities(GAINS)).refused("--quality", 2)
    assert status == 4 and "hint: the bundle has quality 0, 1.5, 4." in talk


def test_what_the_hint_says_can_be_typed(tmp_path: Path) -> None:
    place = Workplace(tmp_path, with_qualities({0.296875: 0.125, 1.296875: 1.0}))
    _, talk = place.refused("--quality", 2)
    offered = talk.partition("the bundle has quality ")[2].rstrip(".\n").split(", ")
    files = [place.encode("--quality", quality) for quality in offered]
    assert files == [place.encode("--quality", quality) for quality in (0.3, 1.3)]
    assert len(set(files)) == 2


@pytest.mark.parametrize(
    ("wishes", "status", "problem"),
    [
        (("--quality", 7), 4, "nothing was exported for quality=7"),
        (("--n", 1), 4, "encode takes no n"),
        (("--target-bpp", -1), 2, "the target is -1 bits per pixel"),
        (("--target-bpp", 1, "--quality", 4), 2, "exclude each other"),
        (("--seed", -1), 2, "a noise seed is"),
        (("--seed", 1), 4, "take no noise"),
    ],
)
def test_wrong_knobs_are_one_error_for_all_pictures(
    tmp_path: Path, wishes: tuple[object, ...], status: int, problem: str
) -> None:
    place = Workplace(tmp_path, with_qualities(GAINS))
    outcome = run("encode", tmp_path / "in.png", tmp_path / "absent.png", *place.engine, *wishes)
    assert outcome.status == status
    assert outcome.talk.count("error:") == 1 and problem in outcome.talk


def test_n(tmp_path: Path) -> None:
    place = Workplace(tmp_path, Recipe(plain().model, [analysis(scalar_shape=(1,))], plain().synthesis))
    assert place.encode("--n", -1.25) == place.codec.encode(place.pixels, n=-1.25).data
    assert place.refused("--n", 2.5)[0] == 4
    assert place.refused("--quality", 1)[0] == 4


def test_a_target_says_what_it_reached(tmp_path: Path) -> None:
    place = Workplace(tmp_path, with_qualities(GAINS))
    options = ("-o", tmp_path / "b.edgc", "--target-bpp", 1000, "--json")
    outcome = run("encode", tmp_path / "in.png", *place.engine, *options)
    (note,) = outcome.records[0]["notes"]
    assert note.startswith("quality 4 gives ") and note in outcome.talk
    assert outcome.records[0]["quality"] == 4
    assert place.refused("--target-bpp", 1, "--quality", 0)[0] == 2
    assert place.refused("--target-bpp", 0)[0] == 2


@pytest.fixture
def selective(tmp_path: Path) -> Workplace:
    """With a label map of two halves and a mask of a corner."""
    place = Workplace(tmp_path, with_labels())
    labels = np.zeros(place.pixels.shape[:2], np.uint8)
    labels[30:] = 2
    Image.fromarray(labels).save(tmp_path / "labels.png")
    Image.fromarray((np.indices(labels.shape).sum(axis=0) < 20).astype(np.uint8)).save(tmp_path / "mask.png")
    return place


def test_labels_masks_and_classes(selective: Workplace) -> None:
    labels, mask = selective.folder / "labels.png", selective.folder / "mask.png"

    def expected(**options: object) -> bytes:
        return selective.codec.encode(selective.pixels, labels=labels, **options).data  # type: ignore[arg-type]

    assert selective.encode("--labels", labels) == expected()
    assert selective.encode("--labels", labels, "--keep", mask) == expected(keep=mask)
    assert selective.encode("--labels", labels, "--keep-classes", "car, 1") == expected(keep=["car", "1"])
    assert len({expected(), expected(keep=mask), expected(keep=["car"])}) == 3


def test_every_picture_has_its_own_labels_and_mask(selective: Workplace) -> None:
    folder, pixels = selective.folder, selective.pixels
    pictures = [folder / "a.png", folder / "b.png"]
    for name, part in (("a", slice(None, 20)), ("b", slice(40, None))):
        for kind in ("maps", "masks"):
            (folder / kind).mkdir(exist_ok=True)
            plane = np.zeros(pixels.shape[:2], np.uint8)
            plane[part] = 1
            Image.fromarray(plane).save(folder / kind / f"{name}.png")
        Image.fromarray(pixels).save(folder / f"{name}.png")
    given = ("--labels", folder / "maps", "--keep", folder / "masks")
    assert run("encode", *pictures, *selective.engine, *given).status == 0
    for name in ("a", "b"):
        expected = selective.codec.encode(
            pixels, labels=str(folder / "maps" / f"{name}.png"), keep=str(folder / "masks" / f"{name}.png")
        )
        assert (folder / f"{name}.edgc").read_bytes() == expected.data

    outcome = run("encode", *pictures, *selective.engine, "--labels", folder / "labels.png", "--force")
    assert outcome.status == 2 and "one file for 2 pictures" in outcome.talk
    (folder / "maps" / "b.png").unlink()
    outcome = run("encode", *pictures, *selective.engine, *given, "--force")
    assert outcome.status == 1 and "has no file named b" in outcome.talk
    shutil.copy(folder / "maps" / "a.png", folder / "maps" / "a.bmp")
    assert run("encode", pictures[0], *selective.engine, *given, "--force").status == 2


def test_only_what_the_knobs_ask_for_is_loaded(tmp_path: Path) -> None:
    """All other graphs are damaged, which is noticed where one is loaded."""
    place = Workplace(tmp_path, with_qualities(GAINS, (0.0, 20.0)))
    others = [
        place.bundle / graph.file
        for graph in place.codec.info.graphs
        if graph.knobs not in ({"quality": 4.0}, {"quality": 4.0, "beta": 0.0})
    ]
    assert len(others) == len(place.codec.info.graphs) - 2
    for path in others:
        path.write_bytes(bytes(path.stat().st_size))
    place.encode("--quality", 4)
    decode = ("decode", tmp_path / "a.edgc", *place.engine)
    assert run(*decode, "--beta", 0, "-o", tmp_path / "out.png").status == 0
    assert run(*decode, "--beta", 20, "-o", tmp_path / "no.png").status == 4


@pytest.mark.usefixtures("python_backend")
def test_without_an_engine_there_is_no_next_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = Workplace(tmp_path, plain())

    def none(*_: object) -> Engine:
        raise EngineUnavailable("no driver", where="onnxruntime:cuda")

    monkeypatch.setattr(loading, "open_engine", none)
    shutil.copy(tmp_path / "in.png", tmp_path / "next.png")
    outcome = run("encode", tmp_path / "in.png", tmp_path / "next.png", *place.engine, "-o", tmp_path / "out")
    assert outcome.status == 6 and outcome.talk.count("no driver") == 1


def test_labels_that_do_not_fit(selective: Workplace) -> None:
    labels = ("--labels", selective.folder / "labels.png")
    assert selective.refused()[0] == 2
    assert selective.refused("--labels", selective.folder / "nowhere.png")[0] == 7
    assert selective.refused("--labels", selective.folder / "in.png")[0] == 2
    status, talk = selective.refused(*labels, "--keep-classes", "cart")
    assert status == 2 and "sky, tree, car" in talk
    status, talk = selective.refused(*labels, "--keep", "x.png", "--keep-classes", "car")
    assert status == 2 and "exclude each other" in talk


def test_seed(tmp_path: Path) -> None:
    place = Workplace(tmp_path, with_noise())
    assert place.encode("--seed", 77) == place.codec.encode(place.pixels, seed=77).data
    assert place.encode() == place.codec.encode(place.pixels, seed=0).data
    assert place.refused("--seed", -1)[0] == 2
    assert Workplace(tmp_path / "plain", plain()).refused("--seed", 1)[0] == 4


def test_inspect_says_what_a_file_and_a_bundle_hold(selective: Workplace, tmp_path: Path) -> None:
    said = run("inspect", selective.bundle).output.decode()
    assert "takes labels of 4 classes: sky, tree, car, 1\n" in said and "takes a mask of what to keep\n" in said
    assert run("inspect", selective.bundle, "--json").records[0]["models"][0]["alignment"] == 16

    noisy = edgecodec.open_bundle(with_noise().write(tmp_path / "noisy.bundle"), "onnxruntime")
    (tmp_path / "noisy.edgc").write_bytes(noisy.encode(selective.pixels, seed=77).data)
    assert run("inspect", tmp_path / "noisy.edgc", "--json").records[0]["noise_seed"] == 77


@pytest.mark.parametrize(
    ("command", "typo", "suggestion"),
    [
        ("encode", "--qualty", "--quality"),
        ("encode", "--keep-clases", "--keep-classes"),
        ("export", "--famly", "--family"),
    ],
)
def test_typos(command: str, typo: str, suggestion: str) -> None:
    outcome = run(command, "x", typo, "1")
    assert outcome.status == 2 and suggestion in outcome.talk


def test_numbers_are_read_from_a_list() -> None:
    assert knob_options.parse_numbers("0,0.5, 1", "--alpha") == (0.0, 0.5, 1.0)
    for text in ("", "a", "0,,1", "0;1"):
        with pytest.raises(InvalidArgument, match="--beta"):
            knob_options.parse_numbers(text, "--beta")


@pytest.mark.parametrize("given", ["alpha", "=0.5", "=", ""])
def test_a_knob_needs_a_name_and_a_value(given: str) -> None:
    with pytest.raises(InvalidArgument, match="is not NAME=VALUE"):
        knob_options.chosen(knob_options.DecoderKnobs(knob=[given]))
    assert knob_options.chosen(knob_options.DecoderKnobs(knob=["gamma=0.5"])) == {"gamma": 0.5}
