"""The tunable codec: the sizes of the paper, and a mask that is what the paper says it is."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from edgecodec_export.baking.batch_norm import fold_batch_norm
from edgecodec_export.families.tunable import Preset, Tunable

SMALL = Preset((4, 6, 8), encoder_blocks=1, masker_blocks=1, decoder_blocks=2)


@pytest.fixture
def model() -> Tunable:
    """With the batch statistics of some noise stored, so that symbols take all their values."""
    torch.manual_seed(0)
    model = Tunable(SMALL)
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = 1.0
        nn.init.uniform_(norm.weight, 1, 2)
        nn.init.normal_(norm.bias, std=0.2)
    with torch.no_grad():
        model.train()(torch.rand(4, 3, 64, 64), n=0.0)
    return model.eval().requires_grad_(False)


@pytest.fixture
def image() -> Tensor:
    torch.manual_seed(1)
    return torch.rand(1, 3, 64, 96)


def test_published_sizes() -> None:
    with torch.device("meta"):
        model = Tunable(Tunable.PRESETS["published"])
    stages = (model.analysis, model.masker, model.synthesis)
    counts = [sum(parameter.numel() for parameter in stage.parameters()) / 1e6 for stage in stages]
    assert counts == pytest.approx([12.83, 2.40, 19.81], abs=0.01)


def test_symbols_are_centres_and_zero_where_masked(model: Tunable, image: Tensor) -> None:
    (symbols,) = model.encode(image, 0.5)
    assert symbols.shape == (1, 16, 8, 12)
    assert symbols.unique().tolist() == [0, 1, 2, 3]
    mask = model.masker(model.analysis(2 * image - 1), 0.5)
    assert 0 < mask.mean() < 1
    assert not (symbols * (1 - mask)).any()
    assert torch.equal(symbols, model.encode(image, torch.tensor(0.5))[0])


@pytest.mark.parametrize("n", [-2.0, -0.7, 0.0, 1.3, 2.0])
def test_the_mask_is_that_of_the_sigmoid(model: Tunable, n: float) -> None:
    torch.manual_seed(2)
    omega = torch.randn(3, 16, 32, 48).relu()
    importance = model.masker.importance(omega)
    average = importance.mean((2, 3), keepdim=True)
    spread = importance.std((2, 3), keepdim=True, correction=0)
    sigmoid = torch.sigmoid((importance - (average + n)) / spread)
    below = torch.arange(16).reshape(1, -1, 1, 1) / 16
    assert torch.equal(model.masker(omega, n), (sigmoid >= below).float())


def test_every_position_keeps_a_prefix_of_the_channels(model: Tunable, image: Tensor) -> None:
    omega = model.analysis(2 * image - 1)
    lengths = []
    for n in (-2.0, -1.0, 0.0, 1.0, 2.0):
        mask = model.masker(omega, n)
        assert mask[:, 0].all()
        assert (mask[:, 1:] <= mask[:, :-1]).all()
        lengths.append(mask.sum(1))
    assert all((fewer <= more).all() for more, fewer in pairwise(lengths))
    assert lengths[-1].sum() < lengths[0].sum()


def test_a_flat_map_has_a_mask_too(model: Any) -> None:
    model.masker.importance[-1].weight.zero_()
    model.masker.importance[-1].bias.zero_()
    omega = torch.ones(1, 16, 2, 2)
    assert (model.masker(omega, 0.0).sum(1) == 9).all()  # sigmoid(0) = 8/16: channels 1 to 9
    assert (model.masker(omega, 1.0).sum(1) == 1).all()


def test_statistics_are_stored_ones_and_each_pictures_own(model: Tunable) -> None:
    torch.manual_seed(3)
    images = torch.rand(2, 3, 32, 48) * torch.tensor([1.0, 0.2]).reshape(2, 1, 1, 1)
    (together,) = model.encode(images, 0.3)
    apart = torch.cat([model.encode(each.unsqueeze(0), 0.3)[0] for each in images])
    assert torch.equal(together, apart)


def test_the_smallest_picture_is_coded(model: Tunable) -> None:
    picture = model.decode(*model.encode(torch.rand(1, 3, model.SMALLEST_SIDE, model.SMALLEST_SIDE)))
    assert picture.shape == (1, 3, 16, 16)
    assert 0 <= picture.min() <= picture.max() <= 1


def test_batch_norm_folds_into_the_convolutions(model: Any, image: Tensor) -> None:
    folded: Any = fold_batch_norm(model)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
    assert any(isinstance(module, nn.BatchNorm2d) for module in model.modules())
    centred = 2 * image - 1
    omega = model.analysis(centred)
    torch.testing.assert_close(folded.analysis(centred), omega, rtol=0, atol=1e-5)
    torch.testing.assert_close(folded.masker.importance(omega), model.masker.importance(omega), rtol=0, atol=1e-5)
    (symbols,) = model.encode(image)
    torch.testing.assert_close(folded.decode(symbols), model.decode(symbols), rtol=0, atol=1e-5)


def test_training_reaches_every_weight_but_those_of_the_mask(model: Tunable, image: Tensor) -> None:
    model.train().requires_grad_(True)
    rebuilt, rates, _, _ = model(image)
    assert rebuilt.shape == image.shape
    assert 0 < rates.latent.item() <= 16 * 8 * 12 * 2
    ((rebuilt - image) ** 2).mean().add(rates.latent / image.numel()).backward()
    for name, parameter in model.named_parameters():
        assert (parameter.grad is None) == name.startswith("masker."), name
        assert parameter.grad is None or parameter.grad.isfinite().all()


def test_a_silent_channel_can_be_woken(model: Any, image: Tensor) -> None:
    """Its symbols are all 0, a little below the ReLU, and yet its bias has a gradient."""
    model.requires_grad_(True)
    norm = model.analysis.omega[1][1]
    with torch.no_grad():
        norm.weight[0], norm.bias[0] = 0, -0.3
    rebuilt = model(image, -2.0).picture
    ((rebuilt - image) ** 2).mean().backward()
    assert not model.encode(image, -2.0)[0][:, 0].any()
    assert norm.bias.grad[0] != 0


def test_the_trained_rate_is_that_of_the_symbols(model: Tunable, image: Tensor) -> None:
    (symbols,) = model.encode(image, 0.4)
    kept = model.masker(model.analysis(2 * image - 1), 0.4) == 1
    bits = 0.0
    for channel, there in zip(symbols[0], kept[0], strict=True):
        counts = channel[there].unique(return_counts=True)[1].double()
        bits -= float((counts * (counts / counts.sum()).log2()).sum())
    assert model(image, 0.4)[1].latent.item() == pytest.approx(bits, rel=1e-4)


def test_larger_n_trains_towards_fewer_bits(model: Tunable, image: Tensor) -> None:
    few, many = (model(image, n)[1].latent.item() for n in (2.0, -2.0))
    assert few < many


def test_the_compact_preset_ships_in_about_6_megabytes_of_half_precision() -> None:
    with torch.device("meta"):
        model = Tunable(Tunable.PRESETS["compact"])
    assert 2 * sum(parameter.numel() for parameter in model.parameters()) < 6.5e6
