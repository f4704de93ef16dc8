"""A family's start already carries photographs, so that training need not find out what a transform is."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from edgecodec_export.calibration import DEFAULT_FOLDER
from edgecodec_export.checkpoints import Checkpoint, load_model
from edgecodec_export.families import Agustsson, Crdr, Fidelity, Hific, Hyperprior, Tunable, build
from edgecodec_export.layers.block_transform import BlockAnalysis, BlockSynthesis, write_block_transform
from edgecodec_export.layers.finite_alphabet import nearest_level

Photo = np.ndarray


@pytest.fixture(scope="module")
def photos() -> list[Photo]:
    return [np.asarray(Image.open(file).convert("RGB")) for file in sorted(DEFAULT_FOLDER.glob("*.webp"))[:12]]


def random_crops(photos: list[Photo], side: int, count: int, generator: np.random.Generator) -> Tensor:
    crops = []
    for _ in range(count):
        photo = photos[int(generator.integers(len(photos)))]
        top, left = (int(generator.integers(room - side + 1)) for room in photo.shape[:2])
        crops.append(photo[top : top + side, left : left + side])
    return torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).float() / 255


def test_the_initial_transform_already_carries_photographs(photos: list[Photo]) -> None:
    torch.manual_seed(0)
    model = build("hific", "compact")
    assert isinstance(model, Hific)
    model.initialise(random_crops(photos, 128, 32, np.random.default_rng(0)))
    unseen = random_crops(photos, 128, 8, np.random.default_rng(1))
    with torch.no_grad():
        error = (model.synthesis(model.analysis(unseen)) - unseen).square().mean()
    assert -10 * math.log10(float(error)) > 20  # a random start gives 8


@pytest.mark.parametrize("preset", ["compact", "light"])
def test_a_hyperprior_already_carries_photographs_as_a_file_has_them(preset: str, photos: list[Photo]) -> None:
    torch.manual_seed(0)
    model = build("hyperprior", preset)
    assert isinstance(model, Hyperprior)
    model.initialise(random_crops(photos, 128, 32, np.random.default_rng(0)))
    model.eval()
    unseen = random_crops(photos, 128, 8, np.random.default_rng(1))
    with torch.no_grad():
        error = (model(unseen).picture - unseen).square().mean()
    assert -10 * math.log10(float(error)) > 23  # a random start gives 8


def test_blocks_with_all_components_lose_nothing(photos: list[Photo]) -> None:
    """Which holds only if each network undoes what the other does to the order of pixels."""
    torch.manual_seed(0)
    crops = random_crops(photos, 64, 32, np.random.default_rng(0))
    analysis, synthesis = BlockAnalysis(192, 1, 768), BlockSynthesis(768, 192, 1)
    write_block_transform(analysis, synthesis, crops, 2.0)
    with torch.no_grad():
        assert (synthesis(analysis(crops[:2])) - crops[:2]).abs().max() < 1e-4


def test_the_initial_transform_of_few_symbols_carries_photographs_at_every_rate(photos: list[Photo]) -> None:
    torch.manual_seed(0)
    model = build("tunable", "compact")
    assert isinstance(model, Tunable)
    model.initialise(random_crops(photos, 128, 32, np.random.default_rng(0)))
    assert model.training
    model.eval()
    unseen = random_crops(photos, 128, 8, np.random.default_rng(1))
    with torch.no_grad():
        rebuilt = [model(unseen, n).picture for n in (-2.0, 0.0, 2.0)]
        omega = model.analysis(2 * unseen - 1)
        kept = [float(model.masker(omega, n).sum(1).mean()) for n in (-2.0, 0.0, 2.0)]
    psnr = [-10 * math.log10(float((picture - unseen).square().mean())) for picture in rebuilt]
    assert psnr[0] > 21 and psnr[1] > 19 and psnr[2] > 15  # a random start gives 8
    assert kept[0] > 13 and 7 < kept[1] < 10 and kept[2] < 4  # of 16


def test_colours_outlast_edges(photos: list[Photo]) -> None:
    """Flat pictures of all colours say most with 7 of the 16 channels."""
    torch.manual_seed(0)
    model = build("tunable", "compact")
    assert isinstance(model, Tunable)
    model.initialise(random_crops(photos, 128, 32, np.random.default_rng(0)))
    colours = torch.cartesian_prod(*[torch.tensor([0.2, 0.5, 0.8])] * 3).reshape(-1, 3, 1, 1).expand(-1, -1, 48, 48)
    with torch.no_grad():
        symbols = nearest_level(model.eval().analysis(2 * colours - 1), 0, 4)[:, :, 2:-2, 2:-2]
    assert 3 * symbols[:, 7:].sum() < symbols[:, 3:7].sum()


def test_brightness_is_coded_finely_by_the_first_three_channels(photos: list[Photo]) -> None:
    """Flat pictures from black to white come back, although no symbol has more than four values."""
    torch.manual_seed(0)
    model = build("tunable", "compact")
    assert isinstance(model, Tunable)
    model.initialise(random_crops(photos, 128, 32, np.random.default_rng(0)))
    greys = torch.linspace(0.1, 0.9, 33).reshape(-1, 1, 1, 1).expand(-1, 3, 32, 32)
    with torch.no_grad():
        symbols = nearest_level(model.eval().analysis(2 * greys - 1), 0, 4)
        symbols[:, 3:] = 0
        middle = model.decode(symbols)[:, :, 8:-8, 8:-8].mean((1, 2, 3))
    assert (middle - greys[:, 0, 0, 0]).abs().max() < 0.06


def test_the_initial_transform_with_its_context_carries_photographs_at_a_low_rate(photos: list[Photo]) -> None:
    torch.manual_seed(0)
    model = build("fidelity", "compact")
    assert isinstance(model, Fidelity)
    model.initialise(random_crops(photos, 128, 32, np.random.default_rng(0)))
    model.eval()
    unseen = random_crops(photos, 128, 8, np.random.default_rng(1))
    with torch.no_grad():
        rebuilt, rates, _, _ = model(unseen)
    assert -10 * math.log10(float((rebuilt - unseen).square().mean())) > 23  # a random start gives 9
    assert float(sum(rates)) / unseen[:, 0].numel() < 0.23  # without its neighbours it takes 0.24


@pytest.mark.parametrize(("preset", "least"), [("compact", 18.5), ("compact-sc", 20)])
def test_the_initial_transform_of_five_levels_carries_photographs(
    photos: list[Photo], preset: str, least: float
) -> None:
    torch.manual_seed(0)
    model = build("agustsson", preset)
    assert isinstance(model, Agustsson)
    model.initialise(random_crops(photos, 128, 32, np.random.default_rng(0)))
    unseen = random_crops(photos, 128, 8, np.random.default_rng(1))
    labels = [torch.zeros(8, 1, 128, 128)] if model.side_latents() else []
    with torch.no_grad():
        error = (model.decode(*labels, *model.encode(unseen)) - unseen).square().mean()
    assert -10 * math.log10(float(error)) > least  # a random start gives 11


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
