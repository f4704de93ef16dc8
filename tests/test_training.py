"""Training starts where it says, resumes as if unbroken, and leaves alone what must stay."""

from __future__ import annotations

import io
import math
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from edgecodec.export.calibration import DEFAULT_FOLDER
from edgecodec.export.checkpoint import load_model, read_checkpoint, save_checkpoint
from edgecodec.export.families import Hific, Tunable, build
from edgecodec.export.families.blocks import nearest_level
from edgecodec.export.families.tunable import Preset as TunablePreset
from edgecodec.train.adversarial import AdversarialRecipe, train_adversarial
from edgecodec.train.drawn_rates import draw_n
from edgecodec.train.initialise import initialise_as_transform
from edgecodec.train.initialise_tunable import initialise_tunable
from edgecodec.train.photos import PhotoSet, load_photos, random_crops
from edgecodec.train.rate_distortion import (
    RateDistortionRecipe,
    settle_medians,
    settle_norms,
    train_rate_distortion,
)

TINY = TunablePreset((4, 6, 8), encoder_blocks=1, masker_blocks=1, decoder_blocks=1)


@pytest.fixture(scope="module")
def photos() -> PhotoSet:
    pictures = [np.asarray(Image.open(file).convert("RGB")) for file in sorted(DEFAULT_FOLDER.glob("*.webp"))]
    return PhotoSet(training=pictures[:12], validation=[pictures[12][:192, :192]], sha256={})


def test_the_initial_transform_already_carries_photographs(photos: PhotoSet) -> None:
    torch.manual_seed(0)
    model = build("hific", "compact")
    assert isinstance(model, Hific)
    initialise_as_transform(model, random_crops(photos.training, 128, 32, np.random.default_rng(0)))
    unseen = random_crops(photos.training, 128, 8, np.random.default_rng(1))
    with torch.no_grad():
        error = (model.synthesis(model.analysis(unseen)) - unseen).square().mean()
    assert -10 * math.log10(float(error)) > 20  # a random start gives 8


def test_the_initial_transform_of_few_symbols_carries_photographs_at_every_rate(photos: PhotoSet) -> None:
    torch.manual_seed(0)
    model = build("tunable", "compact")
    assert isinstance(model, Tunable)
    initialise_tunable(model, random_crops(photos.training, 128, 32, np.random.default_rng(0)))
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


def test_brightness_is_coded_finely_by_the_first_three_channels(photos: PhotoSet) -> None:
    """Flat pictures from black to white come back, although no symbol has more than four values."""
    torch.manual_seed(0)
    model = build("tunable", "compact")
    assert isinstance(model, Tunable)
    initialise_tunable(model, random_crops(photos.training, 128, 32, np.random.default_rng(0)))
    greys = torch.linspace(0.1, 0.9, 33).reshape(-1, 1, 1, 1).expand(-1, 3, 32, 32)
    with torch.no_grad():
        symbols = nearest_level(model.eval().analysis(2 * greys - 1), 0, 4)
        symbols[:, 3:] = 0
        middle = model.decode(symbols)[:, :, 8:-8, 8:-8].mean((1, 2, 3))
    assert (middle - greys[:, 0, 0, 0]).abs().max() < 0.06


def test_larger_n_is_drawn_with_less_weight_of_the_distortion() -> None:
    torch.manual_seed(0)
    drawn = [draw_n(Tunable(TINY)) for _ in range(50)]
    assert -2 <= min(drawn)[0] < -1 and 1 < max(drawn)[0] <= 2
    assert [ratio for _, ratio in sorted(drawn)] == sorted((ratio for _, ratio in drawn), reverse=True)
    assert all(0.25 <= ratio <= 4 for _, ratio in drawn)


@pytest.mark.parametrize("family", ["hyperprior", "fidelity"])
def test_a_resumed_first_stage_is_an_unbroken_one(photos: PhotoSet, tmp_path: Path, family: str) -> None:
    recipe = RateDistortionRecipe(family, steps=4, batch=2, crop=64)
    whole = train_rate_distortion(photos, tmp_path / "whole.safetensors", recipe, save_every=2)
    with pytest.raises(_Stop):
        train_rate_distortion(_stopping_after(photos, 3), tmp_path / "broken.safetensors", recipe, save_every=2)
    resumed = train_rate_distortion(photos, tmp_path / "broken.safetensors", recipe, save_every=2)
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[name]), name


def test_settled_norms_keep_their_statistics_and_train() -> None:
    model = Tunable(TINY).train()
    before = {name: buffer.clone() for name, buffer in model.named_buffers()}
    settle_norms(model)
    rebuilt, _ = model(torch.rand(2, 3, 64, 64))
    rebuilt.mean().backward()
    assert all(torch.equal(buffer, before[name]) for name, buffer in model.named_buffers())
    assert all(parameter.grad is not None for parameter in model.synthesis.parameters())


def test_the_second_stage_touches_the_decoder_only(photos: PhotoSet, tmp_path: Path) -> None:
    first = tmp_path / "first.safetensors"
    torch.manual_seed(0)
    model = build("hific", "compact")
    assert isinstance(model, Hific)
    initialise_as_transform(model, random_crops(photos.training, 128, 8, np.random.default_rng(0)))
    save_checkpoint(first, model, "hific", "compact", {})
    recipe = AdversarialRecipe(steps=2, batch=1, discriminator_alone=1)
    train_adversarial(photos, first, tmp_path / "second.safetensors", recipe)
    before, after = (read_checkpoint(tmp_path / f"{name}.safetensors").tensors for name in ("first", "second"))
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed
    assert all(name.startswith("synthesis.") for name in changed)


def test_medians_settle_where_the_density_is_halved() -> None:
    torch.manual_seed(3)
    model = build("hific", "compact")
    settle_medians(model)
    halves = torch.sigmoid(model.density.logits_cumulative(model.density.quantiles[:, :, 1:2]))
    torch.testing.assert_close(halves, torch.full_like(halves, 0.5), rtol=0, atol=1e-4)


def test_half_precision_checkpoints_load_as_single(tmp_path: Path) -> None:
    model = build("hific", "compact")
    save_checkpoint(tmp_path / "half.safetensors", model, "hific", "compact", {}, torch.float16)
    loaded = load_model(read_checkpoint(tmp_path / "half.safetensors"))
    assert all(parameter.dtype == torch.float32 for parameter in loaded.parameters())


def test_photographs_come_from_shards_in_order_of_name(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "shard.tar", "w") as shard:
        for name in ("b", "a", "c"):
            stream = io.BytesIO()
            Image.new("RGB", (8, 8), (ord(name), 0, 0)).save(stream, "PNG")
            member = tarfile.TarInfo(f"{name}.png")
            member.size = stream.tell()
            stream.seek(0)
            shard.addfile(member, stream)
    found = load_photos([tmp_path / "shard.tar"], held_out=2)
    assert [int(photo[0, 0, 0]) for photo in found.training] == [ord("a"), ord("c")]
    assert [int(photo[0, 0, 0]) for photo in found.validation] == [ord("b")]


def test_a_shard_without_pictures_is_refused(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "empty.tar", "w"):
        pass
    with pytest.raises(ValueError, match="no pictures"):
        load_photos([tmp_path / "empty.tar"])


class _Stop(Exception):
    pass


def _stopping_after(photos: PhotoSet, batches: int) -> PhotoSet:
    """The same photographs, which end the run when the batch after `batches` is drawn."""

    class Interrupting(list):  # type: ignore[type-arg]
        drawn = 0

        def __getitem__(self, index):  # type: ignore[no-untyped-def]
            Interrupting.drawn += 1
            if Interrupting.drawn > batches * 2:
                raise _Stop
            return super().__getitem__(index)

    return PhotoSet(Interrupting(photos.training), photos.validation, {})
