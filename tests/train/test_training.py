"""Training starts where it says, resumes as if unbroken, and leaves alone what must stay."""

from __future__ import annotations

import io
import math
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from edgecodec.errors import InvalidArgument, NotAnImage
from edgecodec_export.calibration import DEFAULT_FOLDER
from edgecodec_export.checkpoints import Checkpoint, load_model, read_checkpoint, save_checkpoint
from edgecodec_export.families import Agustsson, Crdr, Fidelity, Hific, Tunable, build
from edgecodec_export.families.tunable import Preset as TunablePreset
from edgecodec_export.layers.finite_alphabet import nearest_level
from edgecodec_train.photos import PhotoSet, load_photos, random_crops
from edgecodec_train.scenes import instances_of, load_scenes, random_labelled_crops, random_masks
from edgecodec_train.stages import selective
from edgecodec_train.stages.adversarial import AdversarialRecipe, grid_energy, train_adversarial
from edgecodec_train.stages.rate_distortion import (
    START_CROPS,
    RateDistortionRecipe,
    settle_medians,
    settle_norms,
    train_rate_distortion,
    validate,
)
from edgecodec_train.stages.selective import SelectiveRecipe, train_selective
from support.png_files import grey_png

TINY = TunablePreset((4, 6, 8), encoder_blocks=1, masker_blocks=1, decoder_blocks=1)


@pytest.fixture(scope="module")
def photos() -> PhotoSet:
    pictures = [np.asarray(Image.open(file).convert("RGB")) for file in sorted(DEFAULT_FOLDER.glob("*.webp"))]
    return PhotoSet(training=pictures[:12], validation=[pictures[12][:192, :192]], sha256={})


def test_the_initial_transform_already_carries_photographs(photos: PhotoSet) -> None:
    torch.manual_seed(0)
    model = build("hific", "compact")
    assert isinstance(model, Hific)
    model.initialise(random_crops(photos.training, 128, 32, np.random.default_rng(0)))
    unseen = random_crops(photos.training, 128, 8, np.random.default_rng(1))
    with torch.no_grad():
        error = (model.synthesis(model.analysis(unseen)) - unseen).square().mean()
    assert -10 * math.log10(float(error)) > 20  # a random start gives 8


def test_the_initial_transform_of_few_symbols_carries_photographs_at_every_rate(photos: PhotoSet) -> None:
    torch.manual_seed(0)
    model = build("tunable", "compact")
    assert isinstance(model, Tunable)
    model.initialise(random_crops(photos.training, 128, 32, np.random.default_rng(0)))
    assert model.training
    model.eval()
    unseen = random_crops(photos.training, 128, 8, np.random.default_rng(1))
    with torch.no_grad():
        rebuilt = [model(unseen, n)[0] for n in (-2.0, 0.0, 2.0)]
        omega = model.analysis(2 * unseen - 1)
        kept = [float(model.masker(omega, n).sum(1).mean()) for n in (-2.0, 0.0, 2.0)]
    psnr = [-10 * math.log10(float((picture - unseen).square().mean())) for picture in rebuilt]
    assert psnr[0] > 21 and psnr[1] > 19 and psnr[2] > 15  # a random start gives 8
    assert kept[0] > 13 and 7 < kept[1] < 10 and kept[2] < 4  # of 16


def test_colours_outlast_edges(photos: PhotoSet) -> None:
    """Flat pictures of all colours say most with 7 of the 16 channels."""
    torch.manual_seed(0)
    model = build("tunable", "compact")
    assert isinstance(model, Tunable)
    model.initialise(random_crops(photos.training, 128, 32, np.random.default_rng(0)))
    colours = torch.cartesian_prod(*[torch.tensor([0.2, 0.5, 0.8])] * 3).reshape(-1, 3, 1, 1).expand(-1, -1, 48, 48)
    with torch.no_grad():
        symbols = nearest_level(model.eval().analysis(2 * colours - 1), 0, 4)[:, :, 2:-2, 2:-2]
    assert 3 * symbols[:, 7:].sum() < symbols[:, 3:7].sum()


def test_brightness_is_coded_finely_by_the_first_three_channels(photos: PhotoSet) -> None:
    """Flat pictures from black to white come back, although no symbol has more than four values."""
    torch.manual_seed(0)
    model = build("tunable", "compact")
    assert isinstance(model, Tunable)
    model.initialise(random_crops(photos.training, 128, 32, np.random.default_rng(0)))
    greys = torch.linspace(0.1, 0.9, 33).reshape(-1, 1, 1, 1).expand(-1, 3, 32, 32)
    with torch.no_grad():
        symbols = nearest_level(model.eval().analysis(2 * greys - 1), 0, 4)
        symbols[:, 3:] = 0
        middle = model.decode(symbols)[:, :, 8:-8, 8:-8].mean((1, 2, 3))
    assert (middle - greys[:, 0, 0, 0]).abs().max() < 0.06


def test_larger_n_is_drawn_with_less_weight_of_the_distortion() -> None:
    torch.manual_seed(0)
    drawn = [(float(knobs["n"]), ratio) for knobs, ratio in (Tunable(TINY).draw_rate() for _ in range(50))]
    assert -2 <= min(drawn)[0] < -1 and 1 < max(drawn)[0] <= 2
    assert [ratio for _, ratio in sorted(drawn)] == sorted((ratio for _, ratio in drawn), reverse=True)
    assert all(0.25 <= ratio <= 4 for _, ratio in drawn)


def test_the_initial_transform_with_its_context_carries_photographs_at_a_low_rate(photos: PhotoSet) -> None:
    torch.manual_seed(0)
    model = build("fidelity", "compact")
    assert isinstance(model, Fidelity)
    model.initialise(random_crops(photos.training, 128, 32, np.random.default_rng(0)))
    model.eval()
    unseen = random_crops(photos.training, 128, 8, np.random.default_rng(1))
    with torch.no_grad():
        rebuilt, rates = model(unseen)
    assert -10 * math.log10(float((rebuilt - unseen).square().mean())) > 23  # a random start gives 9
    assert float(sum(rates)) / unseen[:, 0].numel() < 0.23  # without its neighbours it takes 0.24


@pytest.mark.parametrize(("preset", "least"), [("compact", 18.5), ("compact-sc", 20)])
def test_the_initial_transform_of_five_levels_carries_photographs(photos: PhotoSet, preset: str, least: float) -> None:
    torch.manual_seed(0)
    model = build("agustsson", preset)
    assert isinstance(model, Agustsson)
    model.initialise(random_crops(photos.training, 128, 32, np.random.default_rng(0)))
    unseen = random_crops(photos.training, 128, 8, np.random.default_rng(1))
    labels = [torch.zeros(8, 1, 128, 128)] if model.side_latents() else []
    with torch.no_grad():
        error = (model.decode(*labels, *model.encode(unseen)) - unseen).square().mean()
    assert -10 * math.log10(float(error)) > least  # a random start gives 11


@pytest.mark.slow
@pytest.mark.parametrize("family", ["hyperprior", "fidelity"])
def test_a_resumed_first_stage_is_an_unbroken_one(photos: PhotoSet, tmp_path: Path, family: str) -> None:
    recipe = RateDistortionRecipe(family, steps=4, batch=2, crop=64)
    whole = train_rate_distortion(photos, tmp_path / "whole.safetensors", recipe, save_every=2)
    drawn = 3 * recipe.batch + START_CROPS
    broken = PhotoSet(_Stopping(photos.training, drawn), photos.validation, {})
    with pytest.raises(_Stop):
        train_rate_distortion(broken, tmp_path / "broken.safetensors", recipe, save_every=2)
    assert (tmp_path / "broken.state").exists()
    resumed = train_rate_distortion(photos, tmp_path / "broken.safetensors", recipe, save_every=2)
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[name]), name
    with pytest.raises(InvalidArgument, match=r"another recipe:\n  batch: 2 before, 3 now"):
        train_rate_distortion(photos, tmp_path / "whole.safetensors", replace(recipe, batch=3))


@pytest.mark.parametrize("family", ["tunable", "hific"])
def test_a_decoder_learns_alone_where_the_encoder_is_given(family: str, photos: PhotoSet, tmp_path: Path) -> None:
    torch.manual_seed(0)
    save_checkpoint(tmp_path / "first.safetensors", build(family, "compact"), family, "compact", {})
    recipe = RateDistortionRecipe(family, steps=2, batch=1, crop=64)
    train_rate_distortion(photos, tmp_path / "second.safetensors", recipe, encoder=tmp_path / "first.safetensors")
    before, after = (read_checkpoint(tmp_path / f"{name}.safetensors").tensors for name in ("first", "second"))
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed
    assert all(name.startswith("synthesis.") for name in changed)


def test_an_encoder_of_another_codec_is_refused(photos: PhotoSet, tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "first.safetensors", build("tunable", "compact"), "tunable", "compact", {})
    with pytest.raises(InvalidArgument, match="is tunable compact, not hific compact"):
        train_rate_distortion(
            photos, tmp_path / "a.safetensors", RateDistortionRecipe("hific"), encoder=tmp_path / "first.safetensors"
        )


def test_settled_norms_keep_their_statistics_and_train() -> None:
    model = Tunable(TINY).train()
    before = {name: buffer.clone() for name, buffer in model.named_buffers()}
    settle_norms(model)
    rebuilt, _ = model(torch.rand(2, 3, 64, 64))
    rebuilt.mean().backward()
    assert all(torch.equal(buffer, before[name]) for name, buffer in model.named_buffers())
    assert all(parameter.grad is not None for parameter in model.synthesis.parameters())


@pytest.mark.parametrize(
    ("family", "preset"), [("hific", "compact"), ("fidelity", "compact"), ("crdr", "compact"), ("agustsson", "compact")]
)
def test_the_realism_stage_touches_the_decoder_only(family: str, preset: str, photos: PhotoSet, tmp_path: Path) -> None:
    first = tmp_path / "first.safetensors"
    torch.manual_seed(0)
    model = build(family, preset)
    save_checkpoint(first, model, family, preset, {})
    recipe = AdversarialRecipe(steps=1, batch=1, discriminator_alone=0, faithful_share=0)
    train_adversarial(photos, first, tmp_path / "second.safetensors", recipe)
    before, after = (read_checkpoint(tmp_path / f"{name}.safetensors").tensors for name in ("first", "second"))
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert {name.split(".")[0] + "." for name in changed} == set(model.DECODER_PREFIXES)


@pytest.mark.slow
def test_a_realism_stage_is_steered_in_all_its_rates(photos: PhotoSet, tmp_path: Path) -> None:
    first, output = tmp_path / "first.safetensors", tmp_path / "second.safetensors"
    save_checkpoint(first, build("crdr", "compact-multirate"), "crdr", "compact-multirate", {})
    recipe = AdversarialRecipe(steps=1, batch=1, crop=192)
    train_adversarial(photos, first, output, recipe)
    steered = replace(recipe, steps=2, fresh_factor=3.0, discriminator_learning_rate=0.5)
    with pytest.raises(InvalidArgument, match=r"fresh_factor: .*\n  steps: 1 before, 2 now"):
        train_adversarial(photos, first, output, steered)
    train_adversarial(photos, first, output, steered, steer=True)
    state = torch.load(output.with_suffix(".state"), weights_only=True)
    of_learned, of_fresh = (group["lr"] for group in state["decoder_optimiser"]["param_groups"])
    assert of_fresh == pytest.approx(3 * of_learned)
    assert [group["lr"] for group in state["discriminator_optimiser"]["param_groups"]] == [0.5]


@pytest.mark.parametrize("period", [2, 4])
def test_a_grid_is_told_from_texture(period: int) -> None:
    generator = torch.Generator().manual_seed(0)
    texture = 0.1 * torch.randn(2, 3, 67, 130, generator=generator)
    grid = torch.zeros_like(texture)
    grid[..., ::period, :] = 0.1
    one_phase = 1 / period
    assert grid_energy(grid) == pytest.approx(0.1**2 * one_phase * (1 - one_phase), rel=1e-4)
    assert grid_energy(texture) < 0.1**2 / 40
    assert grid_energy(torch.full_like(texture, 0.1)) == pytest.approx(0, abs=1e-12)


def test_beta_starts_without_effect() -> None:
    torch.manual_seed(0)
    multirate = build("crdr", "compact-multirate")
    preset, tensors = Crdr.with_realism("compact-multirate", multirate.state_dict())
    model = load_model(Checkpoint("crdr", preset, {}, dict(tensors)))
    assert isinstance(model, Crdr) and isinstance(multirate, Crdr)
    assert preset == "compact" and model.realism is not None
    latent = torch.randint(-200, 200, (1, 96, 4, 4)).float()
    with torch.no_grad():
        expected = multirate.decode(latent, 1.5)
        for beta in (0.0, 2.56, 3.84, 5.12):
            assert torch.equal(model.decode(latent, 1.5, beta), expected)
    assert Crdr.with_realism(preset, tensors) == (preset, tensors)


def test_realism_weighs_as_much_as_beta_asks() -> None:
    model, generator = build("crdr", "compact"), np.random.default_rng(0)
    assert model.realism_weight({"quality": 1.0, "beta": 0.0}) == 0
    assert model.realism_weight({"quality": 1.0, "beta": 2.56}) == 1
    assert Tunable(TINY).realism_weight({}) == 1
    drawn = [model.draw_decoder_knobs(0.25, generator) for _ in range(2000)]
    assert {knobs["quality"] for knobs in drawn} == {0, 1, 2, 3, 4}
    betas = [knobs["beta"] for knobs in drawn]
    assert 0.2 < betas.count(0.0) / len(betas) < 0.3
    assert max(betas) == 5.12


def test_photographs_validate_up_to_the_codecs_own_alignment() -> None:
    sizes = []
    model = Tunable(TINY)
    model.register_forward_pre_hook(lambda _, given: sizes.append(tuple(given[0].shape)))
    validate(model, PhotoSet([], [np.zeros((50, 135, 3), np.uint8)], {}))
    assert sizes == [(1, 3, 48, 128)]


def test_medians_settle_where_the_density_is_halved() -> None:
    torch.manual_seed(3)
    model: Any = build("hific", "compact")
    settle_medians(model)
    halves = torch.sigmoid(model.density.logits_cumulative(model.density.quantiles[:, :, 1:2]))
    torch.testing.assert_close(halves, torch.full_like(halves, 0.5), rtol=0, atol=1e-4)


def test_half_precision_checkpoints_load_as_single(tmp_path: Path) -> None:
    model = build("hific", "compact")
    save_checkpoint(tmp_path / "half.safetensors", model, "hific", "compact", {}, torch.float16)
    loaded = load_model(read_checkpoint(tmp_path / "half.safetensors")).state_dict()
    for name, tensor in model.state_dict().items():
        assert loaded[name].dtype == torch.float32
        assert torch.equal(loaded[name], tensor.half().float()), name


@pytest.fixture
def shard(tmp_path: Path) -> Path:
    """Three photographs of 8x8 pixels; the red in each is its name."""
    files = {}
    for name in ("b", "a", "c"):
        stream = io.BytesIO()
        Image.new("RGB", (8, 8), (ord(name), 0, 0)).save(stream, "PNG")
        files[f"{name}.png"] = stream.getvalue()
    return _archive(tmp_path / "shard.tar", files)


def test_photographs_come_from_shards_in_order_of_name(shard: Path) -> None:
    found = load_photos([shard], held_out=2)
    assert [int(photo[0, 0, 0]) for photo in found.training] == [ord("a"), ord("c")]
    assert [int(photo[0, 0, 0]) for photo in found.validation] == [ord("b")]


def test_photographs_are_read_as_the_runtime_reads_them(tmp_path: Path) -> None:
    """Upright and in three colours, whatever the file has."""
    exif, turned, grey = Image.Exif(), io.BytesIO(), io.BytesIO()
    exif[0x0112] = 6  # the top is at the right
    Image.new("RGB", (8, 16)).save(turned, "PNG", exif=exif)
    Image.new("I;16", (8, 16), 257 * 30).save(grey, "PNG")
    files = {"a.png": turned.getvalue(), "b.png": grey.getvalue()}
    found = load_photos([_archive(tmp_path / "shard.tar", files)], held_out=2)
    assert found.training[0].shape == (8, 16, 3)
    assert found.validation[0].shape == (16, 8, 3) and np.all(found.validation[0] == 30)


@pytest.mark.parametrize(("held_out", "purpose"), [(1, "train on"), (4, "validate"), (64, "validate")])
def test_photographs_too_few_for_both_parts_are_refused(shard: Path, held_out: int, purpose: str) -> None:
    with pytest.raises(ValueError, match=f"of 3 photographs is held out, which leaves none to {purpose}"):
        load_photos([shard], held_out)


def _with_a_small_one(photos: list[np.ndarray], height: int, width: int) -> list[np.ndarray]:
    return [photos[0], photos[1][:height, :width], photos[2][:height]]


@pytest.mark.parametrize(
    ("training", "validation", "said"),
    [
        ((63, 80), (192, 192), "smaller than 64 pixels a side: 2, one of them 80x63"),
        ((64, 64), (192, 15), "smaller than 16 pixels a side: 1, one of them 15x192"),
    ],
)
def test_photographs_too_small_are_refused_before_the_first_step(
    photos: PhotoSet, tmp_path: Path, training: tuple[int, int], validation: tuple[int, int], said: str
) -> None:
    small = PhotoSet(_with_a_small_one(photos.training, *training), _with_a_small_one(photos.training, *validation), {})
    recipe = RateDistortionRecipe("fidelity", steps=1, batch=1, crop=64)
    with pytest.raises(ValueError, match=said):
        train_rate_distortion(small, tmp_path / "a.safetensors", recipe)


@pytest.mark.parametrize(("crop", "validation"), [(192, 191), (161, 191), (161, 160)])
def test_photographs_too_small_for_ms_ssim_are_refused_before_the_first_step(
    photos: PhotoSet, tmp_path: Path, crop: int, validation: int
) -> None:
    first = tmp_path / "first.safetensors"
    save_checkpoint(first, build("hific", "compact"), "hific", "compact", {})
    small = PhotoSet([photos.training[0][:191]], _with_a_small_one(photos.training, validation, validation), {})
    with pytest.raises(ValueError, match="smaller than 192 pixels a side"):
        train_adversarial(small, first, tmp_path / "a.safetensors", AdversarialRecipe(steps=1, crop=crop))


def test_scenes_too_small_are_refused_before_the_first_step(scenes_file: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="smaller than 161 pixels a side: 2, one of them 160x144"):
        train_selective(load_scenes(scenes_file), tmp_path / "a.safetensors", SelectiveRecipe(crop=161))


@pytest.fixture
def scenes_file(photos: PhotoSet, tmp_path: Path) -> Path:
    """Two scenes to train on and one to validate on, whose labels are their brightness in twelve steps."""
    picture = Image.fromarray(photos.training[0][:144, :160])
    labels = Image.fromarray((np.asarray(picture.convert("L")).astype(np.uint16) * 12 // 256).astype(np.uint8))
    names = "".join(f"{number} class{number} 1 2 3\n" for number in range(12))
    files: dict[str, bytes] = {"classes.txt": b"# number name colour\n" + names.encode()}
    for name in ("train/{}/a", "train/{}/b", "val/{}/a", "test/{}/a"):
        for folder, content in (("images", picture), ("labels", labels)):
            stream = io.BytesIO()
            content.save(stream, "PNG")
            files[f"{name.format(folder)}.png"] = stream.getvalue()
    return _archive(tmp_path / "scenes.tar", files)


def _archive(path: Path, files: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def _contents(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as archive:
        return {member.name: archive.extractfile(member).read() for member in archive.getmembers()}  # type: ignore[union-attr]


def test_scenes_are_split_by_folder_and_cut_alike(scenes_file: Path) -> None:
    scenes = load_scenes(scenes_file)
    assert (len(scenes.training), len(scenes.validation)) == (2, 1)
    assert scenes.classes == tuple(f"class{number}" for number in range(12))
    image, labels = random_labelled_crops(scenes.training, 64, 3, np.random.default_rng(0))
    assert image.shape == (3, 3, 64, 64) and labels.shape == (3, 1, 64, 64)
    luma = (image * torch.tensor([0.299, 0.587, 0.114]).reshape(1, 3, 1, 1)).sum(1, keepdim=True)
    assert (luma * 255 * 12 / 256 - labels - 0.5).abs().max() < 0.6


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_labels_are_the_numbers_that_are_stored(scenes_file: Path, tmp_path: Path, bits: int) -> None:
    """Samples of greyscale PNG files, whatever their depth."""
    rows = np.arange(144 * 160, dtype=np.uint8).reshape(144, 160) % min(12, 1 << bits)
    files = _contents(scenes_file) | {"val/labels/a.png": grey_png(rows, bits)}
    (scene,) = load_scenes(_archive(tmp_path / "other.tar", files)).validation
    assert np.array_equal(scene.labels, rows)


def test_a_broken_label_map_is_named(scenes_file: Path, tmp_path: Path) -> None:
    files = _contents(scenes_file) | {"val/labels/a.png": b"not a picture"}
    with pytest.raises(NotAnImage, match=r"val/labels/a\.png: "):
        load_scenes(_archive(tmp_path / "other.tar", files))


def test_masks_are_boxes_or_instances() -> None:
    """Two regions of class 1 on class 0: each of the three is kept or not, whatever becomes of the others."""
    labels = torch.zeros(256, 1, 32, 48)
    labels[:, :, 5:, :15] = labels[:, :, :, 33:] = 1
    masks = random_masks(labels, 8, np.random.default_rng(0))
    assert masks.shape == (256, 1, 4, 6)
    left, right, background = torch.zeros(3, 4, 6, dtype=torch.bool)
    left[:, :2] = right[:, 4:] = background[:, 1:5] = background[0] = True
    background[0, 5] = False  # the cells 40 to 48 have nothing but the region at the right
    drawn = {tuple(mask.flatten().tolist()) for mask in masks}
    unions = [left, right, background, left | right, left | background, right | background]
    assert {tuple(union.float().flatten().tolist()) for union in unions} <= drawn
    assert any(0 < mask[0].sum() < 4 for mask in masks)  # a box smaller than any instance
    assert 0.15 < masks.mean() < 0.45


def test_instances_are_connected_regions_of_one_class() -> None:
    labels = np.array([[3, 3, 0, 3], [0, 3, 0, 3], [0, 0, 3, 3]])
    instances = instances_of(labels)
    regions = {tuple(map(tuple, np.argwhere(instances == number))) for number in range(instances.max() + 1)}
    assert regions == {
        ((0, 0), (0, 1), (1, 1)),
        ((0, 3), (1, 3), (2, 2), (2, 3)),
        ((1, 0), (2, 0), (2, 1)),
        ((0, 2), (1, 2)),
    }


def test_selective_training_resumes_as_if_unbroken(scenes_file: Path, tmp_path: Path) -> None:
    scenes, recipe = load_scenes(scenes_file), SelectiveRecipe(steps=2, batch=1, crop=64)
    whole = train_selective(scenes, tmp_path / "whole.safetensors", recipe, save_every=1)
    broken = replace(scenes, training=_Stopping(scenes.training, 64 + 1))
    with pytest.raises(_Stop):
        train_selective(broken, tmp_path / "broken.safetensors", recipe, save_every=1)
    resumed = train_selective(scenes, tmp_path / "broken.safetensors", recipe, save_every=1)
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[name]), name
    assert read_checkpoint(tmp_path / "whole.safetensors").classes == scenes.classes
    with pytest.raises(InvalidArgument, match=r"another recipe:\n  scenes: "):
        train_selective(replace(scenes, sha256="of others"), tmp_path / "whole.safetensors", recipe)


def test_masks_that_keep_nothing_do_not_end_a_run(scenes_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selective, "random_masks", lambda labels, stride, _: torch.zeros_like(labels)[..., ::8, ::8])
    model = build("agustsson", "compact-sc").eval()
    assert isinstance(model, Agustsson)
    scores = selective.validate_selective(model, load_scenes(scenes_file))
    assert math.isnan(scores["psnr_kept_db"]) and 0 < scores["psnr_painted_db"] < 40


@pytest.mark.parametrize(
    ("changed", "content", "said"),
    [
        ("classes.txt", b"0 all\n", "there is a label"),
        ("classes.txt", b"".join(b"%d a,%d\n" % (i, i) for i in range(12)), "the name of a class has a comma"),
        ("classes.txt", b"".join(b"%d a\n" % i for i in range(257)), "257 classes, but there can be 256"),
        ("train/labels/a.png", None, "there is no train/labels/a.png"),
        ("val/images/a.png", None, "no pictures in val"),
    ],
)
def test_scenes_that_lack_something_are_refused(
    scenes_file: Path, tmp_path: Path, changed: str, content: bytes | None, said: str
) -> None:
    files = _contents(scenes_file)
    files.pop(changed)
    if content is not None:
        files[changed] = content
    with pytest.raises(ValueError, match=said):
        load_scenes(_archive(tmp_path / "other.tar", files))


def test_a_shard_without_pictures_is_refused(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "empty.tar", "w"):
        pass
    with pytest.raises(ValueError, match="no pictures"):
        load_photos([tmp_path / "empty.tar"])


class _Stop(Exception):
    pass


class _Stopping(list):  # type: ignore[type-arg]
    """The same elements, which end the run when more than `most` of them were taken."""

    def __init__(self, elements: list, most: int) -> None:  # type: ignore[type-arg]
        super().__init__(elements)
        self._left = most

    def __getitem__(self, index):  # type: ignore[no-untyped-def]
        self._left -= 1
        if self._left < 0:
            raise _Stop
        return super().__getitem__(index)
