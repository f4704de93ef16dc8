"""The page of models, their cards, pictures and checkpoints agree, and what does not is named."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import edgecodec
from edgecodec_evaluate.peers import PEERS
from edgecodec_evaluate.points import points
from edgecodec_evaluate.run import evaluation
from edgecodec_evaluate.settings import Settings
from edgecodec_evaluate.sheet import GAP, Cell
from edgecodec_evaluate.summary import Summary
from support.paths import LARGER_PHOTO, PHOTOS, ROOT, TINY

pytest.importorskip("scripts.models.record", reason="only a checkout has the scripts")

from scripts.models import record as records
from scripts.models.__main__ import MOST_BYTES, disagreements, write
from scripts.models.card import MARK, REQUIRED, card, changes, prose_of, template, unwritten
from scripts.models.formats import begin_with_formats
from scripts.models.page import larger_by
from scripts.models.record import Point, Record, point_of
from scripts.models.sheets import HEIGHT, WIDTH, middle, rows_of, write_sheet
from scripts.models.shipped import Home, Model, models, said_by

CHECKPOINTS = ROOT / "checkpoints"
shipped = pytest.mark.skipif(not CHECKPOINTS.is_dir(), reason="a source distribution has no checkpoints")

OWN = Point("", "alpha=1", 0.21, {"psnr_db": 27.5, "ms_ssim": 0.95, "detail": 0.6, "dists": 0.123})
JPEG = [Point(f"quality={i}", "", 0.1 * 2**i, {"psnr_db": 24.0 + 2 * i, "ms_ssim": 0.9}) for i in range(4)]


@shipped
def test_the_repository_agrees_with_itself() -> None:
    assert list(disagreements(Home())) == []


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A repository with one model, a pair, that was measured, and its card written."""
    if not CHECKPOINTS.is_dir():
        pytest.skip("a source distribution has no checkpoints")
    made = Home(tmp_path)
    for folder in (made.checkpoints, made.pictures, made.page.parent):
        folder.mkdir(parents=True)
    pair = next(model for model in models(CHECKPOINTS) if model.mse is not None)
    for file in pair.checkpoints:
        (made.checkpoints / file.name).symlink_to(file)
        (made.checkpoints / f"{file.stem}.csv").write_text("step,psnr_db\n100,25.5\n")
    (model,) = models(made.checkpoints)
    measured = Record(
        checkpoints=model.hashes(),
        parameters=2_753_427,
        analysis=12_192.0,
        entropy=305.0,
        synthesis=16_268.0,
        bundle_bytes=34_200_000,
        knobs=["alpha to decode: 0, 1; default 1"],
        pictures=["kodim01.png"],
        set_id="abc",
        points=[replace(OWN, decoder="alpha=0", bits_per_pixel=0.21), OWN],
        default=1,
        peers={"jpeg": JPEG},
        bd_rates=[],
        made_by={"edgecodec": "1", "engine": "onnxruntime 1", "processor": "none", "jpeg": "libjpeg 1"},
        sheets={"kodim01.png": f"{model.name}-kodim01.webp"},
        plots={"rate_distortion": f"{model.name}-rate_distortion.webp"},
        curves={model.main.name: f"{model.name}-training.webp"},
    )
    for name in measured.all_pictures:
        (made.pictures / name).write_bytes(b"picture")
    records.write(measured, model.record)
    model.card.write_text(f"# {model.name}\n" + "".join(f"\n## {name}\n\nMuch.\n" for name in REQUIRED))
    write(made)
    return made


def test_what_was_written_agrees_and_shows_what_was_measured(home: Home) -> None:
    assert list(disagreements(home)) == []
    (model,) = models(home.checkpoints)
    page, text = home.page.read_text(), model.card.read_text()
    assert "| alpha=1, the default | 0.210 | 27.50 | 0.9500 | 0.60 | 0.1230 |" in page
    assert "| 2.75 | 16.6 | 0.210 | 27.5 |" in page
    for name in records.read(model.record).all_pictures:  # type: ignore[union-attr]
        assert f"examples/pictures/models/{name})" in page + text
    assert text.startswith(f"# {model.name}\n") and "Much." in text and "psnr_db 25.5" in text


def _other_figure(home: Home) -> None:
    (model,) = models(home.checkpoints)
    found = json.loads(model.record.read_text())
    found["points"][1]["bits_per_pixel"] = 0.2
    model.record.write_text(json.dumps(found))


def _other_weights(home: Home) -> None:
    (model,) = models(home.checkpoints)
    other = next(each.main for each in models(CHECKPOINTS) if each.name != model.name)
    assert model.mse is not None
    model.mse.unlink()
    model.mse.symlink_to(other)


def _other_prose_below_the_mark(home: Home) -> None:
    (model,) = models(home.checkpoints)
    model.card.write_text(model.card.read_text().replace("2.75 million", "2.85 million"))


def _nothing_said(home: Home) -> None:
    (model,) = models(home.checkpoints)
    model.card.write_text(model.card.read_text().replace("## Limits\n\nMuch.", "## Limits\n"))
    write(home)


def _no_card(home: Home) -> None:
    models(home.checkpoints)[0].card.unlink()


def _no_section(home: Home) -> None:
    home.page.write_text(home.page.read_text().partition("\n## ")[0])


def _no_picture(home: Home) -> None:
    next(home.pictures.glob("*-kodim01.webp")).unlink()


def _picture_left_over(home: Home) -> None:
    (home.pictures / "old.webp").write_bytes(b"picture")


def _large_pictures(home: Home) -> None:
    next(home.pictures.glob("*-kodim01.webp")).write_bytes(bytes(MOST_BYTES))


def _another_model(home: Home) -> None:
    other = next(each for each in models(CHECKPOINTS) if each.mse is None)
    (home.checkpoints / other.main.name).symlink_to(other.main)


def _other_pictures_measured(home: Home) -> None:
    _another_model(home)
    one, two = sorted(models(home.checkpoints), key=lambda model: not model.record.exists())
    found = records.read(one.record)
    assert found is not None
    records.write(replace(found, set_id="def", checkpoints=two.hashes(), sheets={}, plots={}, curves={}), two.record)


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (_other_figure, "docs/models.md is out of date"),
        (_other_weights, "is of other weights"),
        (_other_prose_below_the_mark, ".md is out of date"),
        (_nothing_said, "says nothing under Limits"),
        (_no_card, ".md is out of date"),
        (_no_section, "docs/models.md is out of date"),
        (_no_picture, "there is no picture"),
        (_picture_left_over, "no model has the picture old.webp"),
        (_large_pictures, "more than 3000000"),
        (_another_model, "says nothing under Use, What one sees, Limits"),
        (_other_pictures_measured, "not all models were measured on the same pictures"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_does_not_agree_is_named(home: Home, harm: Callable[[Home], None], said: str) -> None:
    harm(home)
    assert any(said in line for line in disagreements(home))


def test_writing_again_keeps_prose_and_drops_pictures_of_no_model(home: Home) -> None:
    (model,) = models(home.checkpoints)
    before = model.card.read_text()
    _picture_left_over(home)
    write(home)
    assert model.card.read_text() == before and not (home.pictures / "old.webp").exists()


def test_a_new_model_gets_a_card_in_which_a_person_has_to_write(home: Home) -> None:
    _another_model(home)
    write(home)
    (left,) = disagreements(home)
    assert "says nothing under Use, What one sees, Limits" in left and "Not measured yet." in home.page.read_text()


def test_formats_are_measured_once_for_all_models(tmp_path: Path) -> None:
    pictures = {path.name: path for path in PHOTOS[:1]}
    settings = Settings(against=["jpeg"], engine="onnxruntime", threads=1)
    first, second, third = (tmp_path / name for name in ("first", "second", "third"))

    def found(folder: Path, pictures: Mapping[str, Path]) -> tuple[int, Summary]:
        begin_with_formats(folder, [tmp_path / "none", first], TINY, pictures, settings)
        with evaluation(TINY, pictures, folder, settings) as run:
            before = run.done
            for name in run.pictures:
                run.measure(name)
            return before, run.finish()

    nothing, alone = found(first, pictures)
    formats, again = found(second, pictures)
    assert nothing == 0 and formats == len(pictures) * len(PEERS["jpeg"].qualities)
    assert [point_of(mean) for mean in again.points] == [point_of(mean) for mean in alone.points]
    begin_with_formats(third, [first], TINY, {"other.png": PHOTOS[2]}, settings)
    assert not third.exists()


def test_pairs_are_one_model(tmp_path: Path) -> None:
    for name in ("a", "b-mse", "b", "c-mse"):
        (tmp_path / f"{name}.safetensors").touch()
    found = [(model.name, [file.stem for file in model.checkpoints]) for model in models(tmp_path)]
    assert found == [("a", ["a"]), ("b", ["b-mse", "b"]), ("c-mse", ["c-mse"])]


def test_a_template_has_nothing_written_and_prose_is_what_is_before_the_mark(tmp_path: Path) -> None:
    text = template(Model("small", tmp_path / "small.safetensors", None))
    assert unwritten(text) == list(REQUIRED)
    assert unwritten("# a\n\n## Use\n\nx\n\n## What one sees\n\ny\n\n## Limits\n\nz") == []
    assert unwritten(f"# a\n\n## Use\n\nx\n{MARK}\n## Limits\n\nz\n") == ["What one sees", "Limits"]
    assert prose_of(f"# a\n\nb\n\n{MARK}\n\nc\n") == "# a\n\nb"


@shipped
def test_notes_of_a_run_say_its_recipe_and_what_was_changed(tmp_path: Path) -> None:
    from edgecodec_train.recipe_content import as_content, parse_recipe
    from edgecodec_train.recipe_files import read_recipe

    content = as_content(parse_recipe(read_recipe("hific-compact"), "hific-compact"))
    longer = as_content(
        parse_recipe(read_recipe("hific-compact", ["stages.rate-distortion.steps=123", "seed=7"]), "hific-compact")
    )
    found = {each.name: (each.before, each.after) for each in changes(content, longer)}
    assert found == {"stages.rate-distortion.steps": (40_000, 123), "seed": (1, 7)}
    assert changes(content, content) == []

    main = next(model.main for model in models(CHECKPOINTS))
    model = Model("small", main, None)
    older = copy.deepcopy(content)
    del older["stages"][0]["optimiser"]["tether"]  # as before there was such a setting
    history = [["rate-distortion", 0, older], ["rate-distortion", 60, longer]]
    notes = {"recipe": "hific-compact", "recipes": json.dumps(history), "steps": "99", "hours": "0.38", "torch": "2.13"}
    said = {main: replace(said_by(main), notes=notes)}
    lines = card(template(model), model, said, None, Home()).splitlines()
    assert "| recipe | [hific-compact](../train/edgecodec_train/recipes/hific-compact.toml) |" in lines
    changed = "stages.rate-distortion.steps 123 in place of 40000; seed 7 in place of 1"
    (later,) = [line for line in lines if "from step 60" in line]
    assert later == f"| recipe | from step 60 of rate-distortion on: {changed} |"
    assert "| torch | 2.13 |" in lines and "| time | 0.38 hours, earlier stages of the run included |" in lines


def test_a_rate_is_compared_at_the_same_score() -> None:
    halfway = larger_by(replace(OWN, scores={"psnr_db": 27.0}), JPEG, "psnr_db")
    assert halfway == pytest.approx(100 * (0.21 / (0.2 * 2**0.5) - 1))
    assert larger_by(replace(OWN, scores={"psnr_db": 26.0}), JPEG, "psnr_db") == pytest.approx(5.0)
    for out_of_reach in (23.9, 30.1):
        assert larger_by(replace(OWN, scores={"psnr_db": out_of_reach}), JPEG, "psnr_db") is None
    assert larger_by(replace(OWN, scores={}), JPEG, "ms_ssim") is None


@pytest.mark.parametrize("size", [(768, 512), (512, 768), (100, 90), (300, 20)])
def test_the_middle_of_a_picture_is_shown(size: tuple[int, int]) -> None:
    pixels = np.zeros((size[1], size[0], 3), np.uint8)
    pixels[size[1] // 2, size[0] // 2] = 255
    part = middle(pixels)
    assert part.shape == (min(HEIGHT, size[1]), min(WIDTH, size[0]), 3)
    assert part[part.shape[0] // 2, part.shape[1] // 2].min() == 255


def _cells(count: int) -> list[Cell]:
    return [Cell(f"{i}", "1 bpp", np.full((HEIGHT, WIDTH, 3), 10 * i, np.uint8)) for i in range(1, count + 1)]


def test_cells_are_in_one_row_where_it_has_room_and_every_point_has_the_same_columns() -> None:
    original, one, two, peers = _cells(1), _cells(1), _cells(2), _cells(3)
    assert rows_of(original, one, peers[:2]) == [original + one + peers[:2]]
    assert rows_of(original, one, peers) == [original, one + peers]
    assert rows_of([], one, peers)[-1] == one + peers
    assert rows_of(original, two, peers) == [original + two, peers]
    assert rows_of([], two, peers) == [two, peers]


def test_a_sheet_shows_the_pixels_of_the_original_and_its_own_error_is_small(tmp_path: Path) -> None:
    with edgecodec.open_bundle(TINY, "onnxruntime", threads=1) as codec:
        found = points(codec.info)
        write_sheet(tmp_path / "sheet.webp", codec, found[:1], LARGER_PHOTO, ("jpeg",))
    with Image.open(LARGER_PHOTO) as image:
        original = middle(np.asarray(image.convert("RGB"))).astype(float)
    with Image.open(tmp_path / "sheet.webp") as image:
        sheet = np.asarray(image.convert("RGB")).astype(float)
    assert sheet.shape[1] == 4 * WIDTH + 5 * GAP
    height, width = original.shape[:2]
    errors = [np.square(sheet[top : top + height, GAP : GAP + width] - original).mean() for top in range(GAP, 80)]
    assert 10 * np.log10(255**2 / min(errors)) > 33
