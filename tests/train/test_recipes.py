"""Recipes say what the papers say, and what is wrong with a recipe is said by the name of its key."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecodec.errors import CannotRead, InvalidArgument
from edgecodec_export.families import FAMILIES
from edgecodec_train.discriminators import DISCRIMINATORS
from edgecodec_train.knob_draws import Draw
from edgecodec_train.knob_weights import Weight
from edgecodec_train.losses import ADVERSARIAL_LOSSES
from edgecodec_train.losses.perceptual import PRETRAINED_LOSSES
from edgecodec_train.recipe import Recipe
from edgecodec_train.recipe_content import as_content, parse_recipe
from edgecodec_train.recipe_files import change, known_recipes, read_recipe


def recipe(name: str, *changes: str) -> Recipe:
    return parse_recipe(read_recipe(name, changes), name)


@pytest.mark.parametrize("name", sorted(known_recipes()))
def test_every_recipe_is_whole(name: str) -> None:
    """It names presets, losses and discriminators that there are, and survives being stored."""
    read = recipe(name)
    assert read.preset in FAMILIES[read.family].PRESETS
    for stage in read.stages:
        assert not stage.preset or stage.preset in FAMILIES[read.family].PRESETS
        if stage.adversarial:
            assert stage.adversarial.loss in ADVERSARIAL_LOSSES
            assert stage.adversarial.discriminator.kind in DISCRIMINATORS
        if stage.perceptual:
            assert stage.perceptual.kind in {*PRETRAINED_LOSSES, "ms-ssim"}
            assert stage.perceptual.substitute == "ms-ssim"
    stored = json.loads(json.dumps(as_content(read), allow_nan=False))
    assert parse_recipe(stored, name) == read


def test_every_family_has_a_published_and_a_compact_recipe() -> None:
    names = set(known_recipes())
    assert {name for family in FAMILIES for name in (family, f"{family}-compact")} <= names


def test_hific_is_the_papers() -> None:
    """Mentzer et al. 2020: 0.75 * 0.1 / 32 on the error of bytes; a million steps twice; early, a higher target."""
    first, second = recipe("hific").stages
    assert first.mse.at({}) == pytest.approx(0.1 / 32 * 0.75 * 255**2, rel=1e-3)
    assert first.rate_target is not None and first.rate.at({}) == 2 and first.rate_target.below == 2**-6
    assert first.rate_target.early_target == pytest.approx(0.20 / 0.14, rel=1e-4)
    assert second.adversarial is not None and second.adversarial.weight.at({}) == 0.15
    assert (first.steps, second.steps) == (1_000_000, 1_000_000)


def test_crdr_is_the_original() -> None:
    """Its public configuration: three stages, weights and targets of rates, realism in proportion to beta."""
    single, many, realism = recipe("crdr").stages
    assert [stage.steps for stage in (single, many, realism)] == [1_000_000, 1_000_000, 3_000_000]
    assert [many.rate.at({"quality": level}) for level in range(5)] == [3.6, 1.8, 0.8, 0.4, 0.1]
    assert many.rate_target is not None
    targets = [many.rate_target.bits_per_pixel.at({"quality": level}) for level in range(5)]
    assert targets == [0.08, 0.16, 0.36, 0.72, 1.2]
    assert realism.adversarial is not None and realism.perceptual is not None
    assert realism.adversarial.weight.at({"beta": 2.56}) == pytest.approx(0.001)
    assert realism.perceptual.weight.at({"beta": 2.56}) == pytest.approx(1.0)
    assert realism.rate_target is None, "the original's targets are 0 here, so that its weight always holds"
    generator = np.random.default_rng(0)
    betas = {realism.knobs["beta"].draw(generator) for _ in range(3000)}
    assert len(betas) == 101 and max(betas) == 5.12 and min(betas) == 0


def test_the_tunable_codec_of_one_rate_is_a_change_of_the_recipe() -> None:
    fixed = recipe("tunable", "stages.everything.knobs.n=-1.32")
    assert {fixed.stages[0].knobs["n"].draw(np.random.default_rng(seed)) for seed in range(5)} == {-1.32}


@pytest.mark.parametrize(
    ("changes", "where", "said"),
    [
        (["speed=3"], "hific-compact: speed", "is unknown"),
        (["stages.realism.optimiser.rate=3"], "stages.realism.optimiser.rate", "is unknown"),
        (["data.crop=large"], "data.crop", "is 'large', which is not a whole number"),
        (["data.crop=1.5"], "data.crop", "is 1.5, which is not a whole number"),
        (["data.mirror=sideways"], "data.mirror", "is 'sideways'"),
        (["stages.realism.steps=true"], "stages.realism.steps", "is True, which is not a whole number"),
        (["stages.realism.steps=-1"], "stages.realism.steps", "is -1, not 0 or more"),
        (["validation.every=0"], "validation.every", "is 0, not 1 or more"),
        (["data.batch=0"], "data.batch", "is 0, not 1 to 16384"),
        (["data.crop=100000000000"], "data.crop", "is 1e+11, not 1 to 16384"),
        (["data.downscale=[0.5]"], "data", "downscale is not two factors"),
        (["data.masks=[]"], "data", "masks is empty"),
        (["seed=-1"], "seed", "is -1, not 0 to"),
        (["validation.knobs=[]"], "validation", "knobs is empty"),
        (["stages.realism.average_decay=1.5"], "stages.realism.average_decay", "is 1.5, not 0 to 1"),
        (["stages.realism.optimiser.learning_rate=-1"], "optimiser.learning_rate", "is -1, not 0 or more"),
        (["stages.realism.optimiser.learning_rate=inf"], "optimiser.learning_rate", "is inf"),
        (["stages.realism.optimiser.tether=-1"], "optimiser.tether", "is -1, not 0 or more"),
        (["stages.realism.optimiser.gradient_norm=-1"], "optimiser.gradient_norm", "is -1, not 0 or more"),
        (["stages.realism.optimiser.betas=[0.9]"], "stages.realism.optimiser", "betas are [0.9], not two"),
        (["stages.realism.optimiser.betas=[0.9, 1.0]"], "stages.realism.optimiser", "betas are [0.9, 1.0], not two"),
        (["stages.realism.optimiser.schedule={warm_up=-1}"], "schedule.warm_up", "is -1, not 0 or more"),
        (["stages.realism.optimiser.schedule={drops=[-5]}"], "schedule.drops[0]", "is -5, not 0 or more"),
        (["stages.realism.mse=-5"], "stages.realism.mse", "is a weight below 0"),
        (["stages.realism.mse=1" + 400 * "0"], "stages.realism.mse", "is too large a number"),
        (["stages.realism.mse=1" + 5000 * "0"], "stages.realism.mse", "which is not a table"),
        (["stages.realism.mse=nan"], "stages.realism.mse", "is not a number"),
        (
            ["stages.realism.mse={times='beta', halved_by='n'}"],
            "stages.realism.mse",
            "depends on a knob in several ways",
        ),
        (["stages.realism.mse={levels_of='quality'}"], "stages.realism.mse", "levels_of and values go together"),
        (["stages.realism.knobs.n={uniform=[2, -2]}"], "stages.realism.knobs.n", "a range that is none"),
        (["stages.realism.knobs.n={}"], "stages.realism.knobs.n", "is drawn in no way or in several"),
        (["stages.realism.name=rate-distortion"], "hific-compact", "two stages have one name"),
        (["stages.realism.name=../up"], "hific-compact", "a stage cannot be called '../up'"),
        (["stages=[]"], "hific-compact", "has no stages"),
        (["stages.realism.optimiser=3"], "stages.realism.optimiser", "is 3, which is not a table"),
        (["data={crop=128}"], "data.batch", "is missing"),
        (
            ["stages.realism.optimiser.schedule={final=0.1, drops=[3]}"],
            "schedule",
            "has both a cosine (final) and drops",
        ),
        (["stages.nowhere.steps=3"], "--set stages.nowhere.steps=3", "there is no stage nowhere"),
        (["steps"], "--set steps", "is not of the form KEY=VALUE"),
        (["=3"], "--set =3", "is not of the form KEY=VALUE"),
        (["seed.of=3"], "--set seed.of=3", "is not a table"),
        (["seed.of.what=3"], "--set seed.of.what=3", "nothing is inside of"),
    ],
)
def test_what_is_wrong_is_named(changes: list[str], where: str, said: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        recipe("hific-compact", "seed=1", *changes)
    assert where in str(refused.value) and said in str(refused.value)


def test_a_recipe_that_is_not_there_names_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(CannotRead, match=r"nobody: there is no recipe of this name.*hific-compact"):
        read_recipe("nobody")
    with pytest.raises(CannotRead, match=r"mine\.toml"):
        read_recipe(str(tmp_path / "mine.toml"))
    (tmp_path / "mine.toml").write_text("title = ")
    with pytest.raises(InvalidArgument, match="is not TOML"):
        read_recipe(str(tmp_path / "mine.toml"))


def test_a_file_is_a_recipe_too(tmp_path: Path) -> None:
    text = 'title = "mine"\nfamily = "hific"\npreset = "compact"\ndata = { crop = 64, batch = 1 }\n'
    text += '[[stages]]\nname = "only"\nsteps = 3\noptimiser = { learning_rate = 1e-4 }\n'
    (tmp_path / "mine.toml").write_text(text)
    read = recipe(str(tmp_path / "mine.toml"), "stages.only.mse=2")
    assert (read.title, read.stages[0].mse.at({}), read.stages[0].largest_loss) == ("mine", 2.0, math.inf)


def test_changes_leave_the_original_alone() -> None:
    content: dict[str, Any] = read_recipe("hific-compact")
    before = json.dumps(content)
    changed = change(content, ["data.crop=64", "stages.realism.adversarial.discriminator.options.widths=[1, 2]"])
    assert json.dumps(content) == before
    assert changed["data"]["crop"] == 64
    assert changed["stages"][1]["adversarial"]["discriminator"]["options"] == {"widths": [1, 2]}


def test_text_needs_no_quotes_and_numbers_stay_numbers() -> None:
    changed = change({}, ["a=some/path.pth", "b=0.5", "c=[1, 2]", 'd="3"', "e=x=y", "f=true"])
    assert changed == {"a": "some/path.pth", "b": 0.5, "c": [1, 2], "d": "3", "e": "x=y", "f": True}


def test_weights_follow_the_knobs() -> None:
    assert Weight(2.5).at({"beta": 1.0}) == 2.5
    assert Weight(0.39, times="beta").at({"beta": 2.0}) == 0.78
    assert Weight(0.39, times="beta").at({}) == 0
    assert Weight(8.0, halved_by="n").at({"n": 2.0}) == 2 and Weight(8.0, halved_by="n").at({"n": -1.0}) == 16
    assert Weight(values=(3.0, 2.0), levels_of="quality").at({"quality": 1.0}) == 2
    assert not Weight() and not Weight(values=(0.0, 0.0), levels_of="quality") and Weight(0.1, times="beta")


@given(low=st.floats(-5, 5), width=st.floats(0.01, 5), seed=st.integers(0, 1000))
def test_draws_stay_in_their_range(low: float, width: float, seed: int) -> None:
    generator = np.random.default_rng(seed)
    for draw in (Draw(uniform=(low, low + width)), Draw(evenly=(low, low + width), count=7, first_share=0.3)):
        values = [draw.draw(generator) for _ in range(20)]
        assert all(low <= value <= low + width for value in values)


def test_the_first_value_can_have_a_share_of_its_own() -> None:
    generator = np.random.default_rng(0)
    values = [Draw(evenly=(0.0, 5.12), count=101, first_share=0.25).draw(generator) for _ in range(4000)]
    assert 0.23 < values.count(0.0) / len(values) < 0.29
    assert {Draw(among=(0, 2, 4)).draw(generator) for _ in range(60)} == {0, 2, 4}
