"""Stages weigh their losses as the recipe says, and refuse recipes that do not fit their family."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from edgecodec.errors import CheckpointRejected, EdgecodecError, InvalidArgument, OutOfRange
from edgecodec.noise import normal_noise
from edgecodec_export.checkpoints import load_model, read_checkpoint, save_checkpoint
from edgecodec_export.checkpoints.checkpoint import Checkpoint
from edgecodec_export.families import Crdr
from edgecodec_train.batches import Batch, Batches, make_batches, open_data
from edgecodec_train.device import Device
from edgecodec_train.discriminators import Judgement
from edgecodec_train.losses import grid_energy, texture_distance
from edgecodec_train.recipe_checks import check_recipe
from edgecodec_train.recipe_content import parse_recipe
from edgecodec_train.recipe_files import read_recipe
from edgecodec_train.stages import StageContext, make_stage
from edgecodec_train.stages.adversarial import told_apart
from edgecodec_train.training import train_recipe
from edgecodec_train.validation import detail, validate
from support.tiny_codecs import PRESETS, tiny_codec
from support.tiny_training import photographs, scenes, tiny_changes, tiny_presets

CPU = Device("cpu", "float32")
NEITHER = ("stages.realism.grid=0.0", "stages.realism.texture=0.0")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    scenes(folder / "scenes.tar")
    return photographs(folder / "photographs").parent


MADE: list[Batches] = []


@pytest.fixture(autouse=True)
def presets() -> Iterator[None]:
    """Tiny presets, and no threads that outlive their test."""
    with tiny_presets():
        yield
    while MADE:
        MADE.pop().close()


def stage_of(data: Path, name: str, index: int, *changes: str, before: Checkpoint | None = None) -> Any:
    """Stage `index` of a recipe with tiny networks, as if it were the first where no checkpoint is given."""
    recipe = parse_recipe(read_recipe(name, [*tiny_changes(name), *changes]), name)
    source = data / ("scenes.tar" if recipe.data.kind == "scenes" else "photographs")
    batches = make_batches(recipe.data_of(recipe.stages[index]), open_data(recipe.data, source, recipe.validation))
    MADE.append(batches)
    return make_stage(StageContext(recipe, index, batches, CPU, before))


def loss_of(stage: Any, step: int = 0) -> tuple[float, dict[str, float]]:
    torch.manual_seed(0)
    objective = next(stage.objectives(step))
    return float(objective.loss.detach()), {name: float(term.detach()) for name, term in objective.terms.items()}


def test_the_loss_is_rate_and_squared_error(data: Path) -> None:
    stage = stage_of(data, "fidelity-compact", 0, "stages.rate-distortion.rate=3.0", "stages.rate-distortion.mse=7.0")
    loss, terms = loss_of(stage)
    assert loss == pytest.approx(3 * terms["training_bits_per_pixel"] + 7 * terms["training_mse"], rel=1e-5)


@pytest.mark.parametrize(("target", "step", "weight"), [(0.0, 9, 2.0), (1e9, 9, 0.5), (0.0, 4, 1.0), (1e-9, 4, 0.5)])
def test_the_rate_weighs_as_its_target_says(data: Path, target: float, step: int, weight: float) -> None:
    """Mentzer et al. 2020, section 3.4; early on the target is higher and the weight above it lower."""
    place = "stages.rate-distortion"
    changes = [f"{place}.rate=2.0", f"{place}.mse=0", f"{place}.rate_target.bits_per_pixel={target}"]
    changes += [f"{place}.rate_target.below=0.5", f"{place}.rate_target.early=5"]
    changes += [f"{place}.rate_target.early_weight=0.5", f"{place}.rate_target.early_target=1e18"]
    loss, terms = loss_of(stage_of(data, "fidelity-compact", 0, *changes), step)
    assert loss == pytest.approx(weight * terms["training_bits_per_pixel"], rel=1e-5)


def test_the_target_is_compared_with_rounded_latents(data: Path) -> None:
    stage = stage_of(data, "hific", 0)
    rebuilt = stage.rebuild(0)
    assert rebuilt.rounded_bits is not None and not rebuilt.rounded_bits.requires_grad
    assert float(rebuilt.rounded_bits) != float(rebuilt.bits.detach())
    stage.model.eval()
    rebuilt = stage.rebuild(0)
    assert float(rebuilt.rounded_bits) == pytest.approx(float(rebuilt.bits.detach()))


def test_patterns_and_texture_have_their_weights(data: Path) -> None:
    without = stage_of(data, "agustsson-compact", 1, "preset=tiny-grain", *NEITHER)
    rebuilt = without.rebuild(0)
    loss, terms = without.reconstruction_loss(rebuilt, 0)
    assert "training_texture" not in terms
    image = rebuilt.batch.image
    picture = rebuilt.picture.detach()
    grid, texture = grid_energy(picture - image), texture_distance(picture, image)
    for name, weight, expected in (("grid", 3000.0, grid), ("texture", 50.0, texture)):
        change = f"stages.realism.{name}={weight}"
        other = stage_of(data, "agustsson-compact", 1, "preset=tiny-grain", *NEITHER, change)
        more, terms = other.reconstruction_loss(rebuilt, 0)
        assert expected > 0 and float((more - loss).detach()) == pytest.approx(weight * float(expected), rel=1e-4)
    assert float(terms["training_texture"].detach()) == pytest.approx(float(texture))


def test_errors_count_where_details_are_kept(data: Path) -> None:
    batch = Batch(torch.zeros(1, 3, 64, 64), mask=torch.zeros(1, 1, 8, 8))
    assert batch.mask is not None
    batch.mask[..., :2, :4] = 1
    weight = batch.mse_weight(0.25)
    assert weight is not None
    expected = torch.full((1, 1, 64, 64), 0.25)
    expected[..., :16, :32] = 1
    assert torch.equal(weight, expected)
    rebuilt = batch.kept_of(torch.ones(1, 3, 64, 64))
    assert torch.equal(rebuilt, (expected == 1).float().expand(1, 3, 64, 64))
    unmasked = Batch(torch.zeros(1, 3, 64, 64))
    assert unmasked.mse_weight(0.25) is None and torch.equal(unmasked.kept_of(rebuilt), rebuilt)


def test_side_inputs_reach_a_model_that_takes_them(data: Path) -> None:
    """SC gets labels and mask, GC(D+) neither, and its discriminator the labels."""
    selective, generative = stage_of(data, "agustsson-sc", 0), stage_of(data, "agustsson-dplus", 0)
    assert selective.rebuild(0).batch.mask is not None
    rebuilt = generative.rebuild(0)
    assert rebuilt.batch.mask is None and rebuilt.batch.labels is not None
    first = next(iter(generative._discriminator.parameters()))
    assert first.shape[1] == 3 + 5


@pytest.mark.parametrize(
    ("name", "changes", "said"),
    [
        ("fidelity-compact", ["data.crop=72", "stages.rate-distortion.crop=72"], "crops of 72 pixels do not fit"),
        ("fidelity-compact", ["stages.rate-distortion.knobs.n=1.0"], "fidelity has no knob n in training"),
        ("fidelity-compact", ["stages.rate-distortion.mse={times='beta', value=1.0}"], "fidelity has no knob beta"),
        ("fidelity-compact", ["stages.rate-distortion.texture={times='beta', value=1.0}"], "fidelity has no knob beta"),
        ("fidelity-compact", ["validation.knobs=[{quality=1.0}]"], "fidelity has no knob quality"),
        ("fidelity-compact", ["stages.rate-distortion.frozen=['*']"], "leaves nothing to learn"),
        ("fidelity-compact", ["stages.rate-distortion.knobs.alpha=1.0"], "fidelity has no knob alpha in training"),
        ("fidelity-compact", ["stages.rate-distortion.frozen=['nothing.*']"], r"'nothing\.\*' is no parameter"),
        ("crdr-compact", ["stages.many-rates.mse={levels_of='quality', values=[1, 2]}"], "a weight has 2 values"),
        ("tunable-compact", ["stages.rate-distortion.knobs.n=50"], "n is 50, not from -2 to 2"),
        ("fidelity-compact", ["preset=huge"], "fidelity has no preset 'huge'"),
        ("fidelity-compact", ["family=jpeg"], "there is no family 'jpeg'"),
        ("agustsson-compact", ["preset=tiny-sc"], "needs label maps"),
    ],
)
def test_recipes_that_do_not_fit_are_refused(data: Path, name: str, changes: list[str], said: str) -> None:
    with pytest.raises(InvalidArgument, match=said):
        stage_of(data, name, 0, *changes)


def test_ms_ssim_needs_its_crops(data: Path) -> None:
    with pytest.raises(InvalidArgument, match="ms-ssim needs crops of 161 pixels, not 128"):
        stage_of(data, "hific-compact", 1, "stages.realism.crop=128")


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("tunable-compact", "rate_fit.values=[1.0]", "rate_fit.values: not two or more from -2 to 2"),
        ("tunable-compact", "rate_fit.knob=quality", "rate_fit.knob: 'quality' is not a scalar knob of tunable"),
        ("tunable-compact", "stages.realism.batch_norm=batch", "stage realism: batch_norm is batch"),
        ("tunable-compact", "stages.realism.adversarial.loss=foo", "stage realism: unknown adversarial loss"),
        ("tunable-compact", "stages.realism.adversarial.discriminator.kind=foo", "unknown discriminator 'foo'"),
        ("tunable-compact", "stages.realism.adversarial.discriminator={kind='shared', optimiser={learning_rate=1}}",
         "the discriminator shared needs a knob of rates"),
        ("tunable-compact", "stages.realism.adversarial.discriminator.options.widths=3", "widths is 3"),
        ("tunable-compact", "stages.realism.adversarial.discriminator.optimiser.tether=1", "nothing to stay near"),
        ("tunable-compact", "stages.realism.perceptual.kind=foo", "unknown perceptual loss 'foo'"),
        ("hific-compact", "stages.realism.perceptual.substitute=foo", "'foo' is no substitute"),
        ("hific-compact", "stages.realism.perceptual.weights=/nowhere", "/nowhere: no such file"),
        ("crdr-compact", "stages.realism.knobs.quality={among=[4, 0]}", "quality in order, each once"),
        ("crdr-compact", "stages.many-rates.knobs.quality={uniform=[-0.5, 4]}",
         "stages.many-rates.knobs.quality: quality is from -0.5 to 4, not from 0 to 4"),
        ("crdr-compact", "stages.many-rates.knobs.beta=1.0",
         "stages.many-rates.knobs.beta: beta is 1, not from 0 to 0"),
        ("crdr-compact", "stages.realism.knobs.beta={evenly=[0.0, 6.0], count=4}",
         "stages.realism.knobs.beta: beta is from 0 to 6, not from 0 to 5.12"),
        ("crdr-compact", "validation.knobs=[{}, {quality=4.5}]",
         "validation.knobs[1].quality: quality is 4.5, not from 0 to 4"),
        ("crdr-compact", "stages.realism.validation_knobs=[{beta=7.0}]",
         "stages.realism.validation_knobs[0].beta: beta is 7, not from 0 to 5.12"),
        ("tunable-compact", "validation.knobs=[{n=3.0}]", "validation.knobs[0].n: n is 3, not from -2 to 2"),
        ("crdr-compact", "stages.realism.preset=published",
         "stages.realism.preset: compact-multirate cannot become published"),
        ("crdr-compact", "stages.realism.frozen=['nothing']", "stage realism: frozen: 'nothing' is no parameter"),
    ],
)  # fmt: skip
def test_later_stages_are_refused_before_the_first_begins(name: str, change: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(EdgecodecError, match=re.escape(said)):
        train_recipe(name, tmp_path / "no data", tmp_path / "run", changes=[change], device="cpu")
    assert not (tmp_path / "run").exists()


def test_weights_of_another_network_are_refused_before_the_first_stage(tmp_path: Path) -> None:
    torch.save({"features.0.weight": torch.zeros(2, 2)}, tmp_path / "other.pth")
    change = f"stages.realism.perceptual.weights={tmp_path / 'other.pth'}"
    with pytest.raises(CheckpointRejected, match=r"other\.pth: its tensors do not fit"):
        train_recipe("hific-compact", tmp_path / "no data", tmp_path / "run", changes=[change], device="cpu")


def test_a_stage_keeps_the_preset_of_the_one_before(data: Path, tmp_path: Path) -> None:
    """A stage behind the one that names the preset with beta has beta, and may draw it."""
    recipe = read_recipe("crdr-compact")
    again = {**recipe["stages"][-1], "name": "more-realism"}
    del again["preset"]
    recipe["stages"].append(again)
    check_recipe(parse_recipe(recipe, "longer"))
    again["knobs"] = {**again["knobs"], "beta": 5.2}
    with pytest.raises(InvalidArgument, match=r"stages\.more-realism\.knobs\.beta: beta is 5\.2"):
        check_recipe(parse_recipe(recipe, "longer"))


def test_the_knobs_of_all_stages_have_to_fit_the_checkpoint_that_a_recipe_starts_from(
    data: Path, tmp_path: Path
) -> None:
    """Its preset is known when the first stage begins; the second one would begin days later."""
    file = tmp_path / "three.safetensors"
    preset = replace(PRESETS["crdr"], levels=3, realism_channels=0)
    save_checkpoint(file, Crdr(preset), "crdr", "own", {})
    changes = [f"start={file}", "stages.many-rates.knobs.quality={uniform=[0, 2]}", "stages.realism.preset=''"]
    with pytest.raises(InvalidArgument, match=r"stages\.realism\.knobs\.quality: quality is from 0 to 4, .* 0 to 2"):
        stage_of(data, "crdr-compact", 0, *changes, "validation.knobs=[{}]")


def test_scenes_that_are_too_small_are_refused(data: Path) -> None:
    with pytest.raises(OutOfRange, match="pictures smaller than 512 pixels a side: 2"):
        stage_of(data, "agustsson-sc", 0, "stages.everything.crop=512")


def test_a_decoder_that_learns_alone_has_the_middle_quality_by_default() -> None:
    model = tiny_codec("crdr")
    image = torch.rand(1, 3, 64, 64)
    default, middle = (model.decoder_input(image, knobs) for knobs in ({}, {"quality": 2.0}))
    assert torch.equal(default.latents[0], middle.latents[0]) and default.knobs == {"quality": 2.0}


def test_a_preset_takes_the_classes_of_the_scenes(tmp_path: Path) -> None:
    scenes(tmp_path / "scenes.tar", classes=4)
    stage = stage_of(tmp_path, "agustsson-sc", 0)
    assert (stage.preset, stage.model.classes()) == ("tiny-sc", 4)
    (objective, *_) = stage.objectives(0)
    assert torch.isfinite(objective.loss)
    save_checkpoint(tmp_path / "four.safetensors", stage.model, "agustsson", stage.preset, {})
    assert load_model(read_checkpoint(tmp_path / "four.safetensors")).classes() == 4


def test_a_checkpoint_of_other_classes_is_no_start(tmp_path: Path) -> None:
    scenes(tmp_path / "scenes.tar", classes=4)
    file = tmp_path / "five.safetensors"
    save_checkpoint(file, tiny_codec("agustsson-sc"), "agustsson", "tiny-sc", {})
    with pytest.raises(InvalidArgument, match="the checkpoint has 5 classes, the scenes have 4"):
        stage_of(tmp_path, "agustsson-sc", 0, f"start={file}")


def test_levels_must_be_drawn_from_a_list(data: Path) -> None:
    with pytest.raises(InvalidArgument, match="levels_of needs quality to be drawn from a list"):
        stage_of(data, "crdr", 2, "stages.realism.knobs.quality={uniform=[0.0, 4.0]}", "preset=tiny")


def realism(data: Path, *changes: str) -> Any:
    """The last stage of CRDR, with the model as it is drawn."""
    return stage_of(data, "crdr", 2, "preset=tiny", *changes)


@pytest.mark.parametrize("quality", [0, 3, 4])
def test_the_generator_is_compared_with_the_next_higher_rate(data: Path, quality: int) -> None:
    """HRRGAN (Iwai et al. 2024): with its own picture at quality + 1, and at the highest with the photograph."""
    stage = realism(data, "stages.realism.knobs.quality={among=[0, 1, 2, 3, 4], first_share=0.0}")
    seen: list[Tensor] = []
    stage._discriminator.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    rebuilt = replace(stage.rebuild(0), knobs={"quality": float(quality), "beta": 2.0})
    stage._reference(rebuilt, stage._conditions(rebuilt))
    expected = rebuilt.batch.image
    if quality < 4:
        with torch.no_grad():
            expected = stage.model(rebuilt.batch.image, quality=quality + 1.0, beta=2.0).picture
    assert torch.equal(seen[0], expected)


@pytest.mark.parametrize("kind", ["relativistic", "relativistic-average"])
def test_other_relativistic_losses_compare_with_the_photograph(data: Path, kind: str) -> None:
    stage = realism(data, f"stages.realism.adversarial.loss={kind}")
    seen: list[Tensor] = []
    stage._discriminator.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    rebuilt = stage.rebuild(0)
    stage._reference(rebuilt, stage._conditions(rebuilt))
    assert torch.equal(seen[0], rebuilt.batch.image)


@pytest.mark.parametrize("kind", ["independent", "shared", "hybrid-head", "hybrid-backbone"])
def test_every_discriminator_of_rates_is_told_the_rate(data: Path, kind: str) -> None:
    stage = realism(data, f"stages.realism.adversarial.discriminator.kind={kind}")
    for step in range(6):
        objectives = list(stage.objectives(step))
        level = stage._conditions(stage.rebuild(step)).level
        assert level in range(5)
        assert all(torch.isfinite(objective.loss) for objective in objectives)


def test_nothing_is_learned_of_realism_where_none_is_asked(data: Path) -> None:
    """At beta 0 there is no discriminator loss, and the codec's is that of rate and squared error."""
    stage = realism(data, "stages.realism.knobs.beta=0.0")
    (objective,) = stage.objectives(0)
    assert objective.terms.keys() == {"loss", "training_mse", "training_bits_per_pixel"}
    stage = realism(data, "stages.realism.knobs.beta=5.12")
    generator, discriminator = stage.objectives(0)
    assert {"generator_loss", "training_perceptual"} <= generator.terms.keys()
    assert {"discriminator_loss", "told_apart"} <= discriminator.terms.keys()


def test_a_discriminator_learns_alone_first(data: Path) -> None:
    stage = realism(data, "stages.realism.adversarial.discriminator.alone=3", "stages.realism.knobs.beta=5.12")
    early, _ = stage.objectives(2)
    later, _ = stage.objectives(3)
    assert "generator_loss" not in early.terms and "generator_loss" in later.terms


def test_the_discriminator_does_not_teach_the_codec(data: Path) -> None:
    """The gradient of its loss reaches the discriminator only."""
    stage = stage_of(data, "agustsson", 0)
    _, objective = stage.objectives(0)
    objective.loss.backward()
    assert all(parameter.grad is None for parameter in stage.model.parameters())
    assert all(parameter.grad is not None for parameter in stage._discriminator.parameters())


def test_told_apart_is_a_share_of_pairs() -> None:
    def judged(*logits: float) -> tuple[Judgement, ...]:
        return (Judgement(torch.tensor(logits).reshape(1, 1, 1, -1), (), 1.0),)

    assert float(told_apart(judged(1, 1, 1, 1), judged(0, 0, 2, 0))) == 0.75


def test_batches_depend_on_the_step_alone(data: Path) -> None:
    one, other = stage_of(data, "crdr-compact", 0), stage_of(data, "crdr-compact", 0)
    first = [one.rebuild(step) for step in (0, 1, 2)]
    again = other.rebuild(2)
    assert torch.equal(first[2].batch.image, again.batch.image) and first[2].knobs == again.knobs
    assert not torch.equal(first[1].batch.image, first[2].batch.image)


def test_detail_is_what_small_means_leave_out() -> None:
    flat, checks = torch.full((1, 3, 8, 8), 0.5), torch.zeros(1, 3, 8, 8)
    checks[..., ::2, ::2] = checks[..., 1::2, 1::2] = 1
    assert detail(flat) == 0 and detail(checks) == pytest.approx(0.25)


def test_validation_measures_the_model_as_it_will_be_exported(data: Path) -> None:
    """Its PSNR and rate are those of the rounded latents in evaluation mode, on the held-out photograph."""
    stage = stage_of(data, "hific-compact", 0, "validation.knobs=[{}]")
    batches = stage._context.batches
    scores = validate(stage.model, batches, stage._context.recipe.validation, CPU).scores
    (batch,) = batches.validation(stage.model)
    with torch.no_grad():
        passed = stage.model.eval()(batch.image)
    error = float((passed.picture.clamp(0, 1) - batch.image).square().mean())
    assert scores["psnr_db"] == pytest.approx(-10 * np.log10(error), rel=1e-5)
    assert scores["bits_per_pixel"] == pytest.approx(float(passed.rates.total()) / batch.image[0, 0].numel(), rel=1e-5)


def test_validation_has_the_noise_of_a_file_without_a_seed(data: Path) -> None:
    stage = stage_of(data, "agustsson-compact", 1, "validation.knobs=[{}]", "preset=tiny-grain")
    batches = stage._context.batches
    for grain in stage.model.synthesis.grains:
        grain.gain.data.mul_(10)
    scores = validate(stage.model, batches, stage._context.recipe.validation, CPU).scores
    (batch,) = batches.validation(stage.model)
    height, width = (side // 16 for side in batch.image.shape[2:])
    (symbols,) = stage.model.encode(batch.image)
    with torch.no_grad():
        for seed, same in ((0, True), (1, False)):
            noise = torch.from_numpy(normal_noise(seed, 320, height, width))[None].float()
            error = float((stage.model.decode(symbols, noise).clamp(0, 1) - batch.image).square().mean())
            assert (scores["psnr_db"] == pytest.approx(-10 * np.log10(error), rel=1e-6)) == same


def test_a_stage_starts_from_the_one_before(data: Path, tmp_path: Path) -> None:
    """With another preset it takes over all weights, and what is new has the larger learning rate."""
    from edgecodec_export.checkpoints import read_checkpoint

    first = stage_of(data, "crdr-compact", 0)
    save_checkpoint(tmp_path / "first.safetensors", first.model, "crdr", "tiny-multirate", {})
    rates = ["stages.realism.optimiser.learning_rate=3e-4", "stages.realism.fresh_factor=10.0"]
    second = stage_of(data, "crdr-compact", 1, *rates, before=read_checkpoint(tmp_path / "first.safetensors"))
    assert second.preset == "tiny"
    for name, tensor in first.model.state_dict().items():
        assert torch.equal(tensor, second.model.state_dict()[name]), name
    assert second.optimisers()["codec"].rates == pytest.approx([3e-4, 3e-3])
