"""The fidelity-controllable codec: sizes, ranges, and a context model that sees only what is decoded already."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from edgecodec.description import LatentSpec
from edgecodec_export.families import Fidelity, build
from edgecodec_export.families.fidelity import StridedProjection
from edgecodec_export.layers.causal_mixture import ContextModel, mixture_likelihood

SMALL = replace(Fidelity.PRESETS["compact"], channels=8, latent_channels=4, context_channels=(8, 16))


@pytest.fixture
def model() -> Fidelity:
    torch.manual_seed(0)
    return Fidelity(SMALL).eval().requires_grad_(False)


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_published_sizes_have_the_published_number_of_parameters() -> None:
    with torch.device("meta"):
        model = build("fidelity", "published")
    assert isinstance(model, Fidelity)
    assert count(model.analysis) == 12_382_880
    assert count(model.synthesis) == 16_308_684
    assert count(model.context) == 1_025_952 - 384 * 32 * 3  # without the masked taps


def test_the_compact_preset_fits_six_megabytes_in_half_precision() -> None:
    with torch.device("meta"):
        assert 2 * count(build("fidelity", "compact")) < 6e6


def test_a_picture_becomes_integers_and_a_picture_again(model: Fidelity) -> None:
    image = torch.rand(1, 3, 48, 80)
    (y,) = model.encode(image)
    assert model.encoder_latents() == model.decoder_latents() == (LatentSpec("y", 4, 16),)
    assert y.shape == (1, 4, 3, 5)
    assert torch.equal(y, y.round())
    rebuilt = model.decode(y)
    assert rebuilt.shape == image.shape
    assert 0 <= rebuilt.min() <= rebuilt.max() <= 1


def test_ties_round_to_even(model: Fidelity) -> None:
    model.analysis = nn.Identity()  # type: ignore[assignment]
    ties = torch.tensor([-1.5, -0.5, 0.5, 1.5, 2.5])
    (y,) = model.encode((ties + 1) / 2)
    assert y.tolist() == [-2, 0, 0, 2, 2]


def test_a_fresh_latent_is_neither_all_zero_nor_huge() -> None:
    torch.manual_seed(1)
    (y,) = build("fidelity", "compact").encode(torch.rand(2, 3, 64, 64))
    assert 0.1 < y.std(0).mean() < 10


def test_gathered_channels_are_tap_after_tap(model: Fidelity) -> None:
    context = model.context
    assert len(context.taps) == len(set(context.taps)) == 12
    y = torch.randn(1, 4, 6, 7)
    gathered = context.gather(y)
    for tap, (up, right) in enumerate(context.taps):
        for row, column in ((0, 0), (3, 3), (5, 6)):
            inside = row - up >= 0 and 0 <= column + right < 7
            expected = y[:, :, row - up, column + right] if inside else torch.zeros(1, 4)
            assert torch.equal(gathered[:, 4 * tap : 4 * tap + 4, row, column], expected)


def test_a_position_changes_later_positions_only_and_none_that_waits_for_its_front(model: Fidelity) -> None:
    """Every tap of a position (row, column) lies at an earlier column + 3 row, so one front can be decoded at once."""
    y = torch.zeros(1, 4, 5, 9)
    before = model.context.context_network()(model.context.gather(y))
    y[:, 1, 2, 4] = 3
    changed = (model.context.context_network()(model.context.gather(y)) != before).any(1)[0]
    found = {(int(row), int(column)) for row, column in changed.nonzero()}
    assert found == {(2 + up, 4 - right) for up, right in model.context.taps}
    assert all(column + 3 * row > 4 + 3 * 2 for row, column in found)


def test_the_context_network_is_1x1_convolutions_and_leaky_rectifiers(model: Fidelity) -> None:
    for layer in model.context.context_network():
        if isinstance(layer, nn.Conv2d):
            assert (layer.kernel_size, layer.stride, layer.groups) == ((1, 1), (1, 1), 1)
        else:
            assert isinstance(layer, nn.LeakyReLU) and layer.negative_slope == 0.2


def test_outputs_are_means_deviations_and_logits_component_by_component() -> None:
    context = ContextModel(2, (3, 3), components=3)
    *_, last = context.context_network()
    assert isinstance(last, nn.Conv2d) and last.bias is not None
    nn.init.zeros_(last.weight)
    last.bias.data = torch.arange(18.0) - 9
    means, scales, weights = context.mixture(torch.zeros(1, 2, 1, 1))
    assert means.flatten().tolist() == [-9, -8, -3, -2, 3, 4]
    assert scales.flatten().tolist() == [7, 6, 1, 0, 5, 6]
    torch.testing.assert_close(weights[0, :, 0].flatten(), torch.tensor([-5.0, 1, 7]).softmax(0))


def test_likelihoods_sum_to_one_and_deviations_have_a_bound() -> None:
    means = torch.tensor([-3.3, 0.2, 4.9]).reshape(1, 3, 1, 1, 1)
    scales = torch.tensor([0.5, 0.0, 2.0]).reshape(1, 3, 1, 1, 1)
    weights = torch.tensor([0.2, 0.5, 0.3]).reshape(1, 3, 1, 1, 1)
    values = torch.arange(-40.0, 41.0).reshape(1, 1, 1, -1)
    assert mixture_likelihood(values, means, scales, weights).sum().item() == pytest.approx(1, abs=1e-6)
    tie = torch.full((1, 1, 1, 1), 0.5)
    narrow = [
        mixture_likelihood(torch.zeros_like(tie), tie[None] - 0.01, torch.full((1, 1, 1, 1, 1), scale), tie[None] * 2)
        for scale in (0.0, 2.0**-6, 2.0**-5)
    ]
    assert narrow[0] == narrow[1] != narrow[2]


def test_rates_are_those_of_rounded_latents_unless_training(model: Fidelity) -> None:
    image = torch.rand(2, 3, 32, 48)
    rebuilt, rates, _, _ = model(image)
    (y,) = model.encode(image)
    torch.testing.assert_close(rebuilt, model.decode(y))
    torch.testing.assert_close(rates.latent, -mixture_likelihood(y, *model.context.mixture(y)).log2().sum())
    again, noisy, rounded, _ = model.train()(image)
    torch.testing.assert_close(again, rebuilt)
    assert noisy.latent != model(image).rates.latent
    torch.testing.assert_close(rounded, rates.latent)
    assert not rounded.requires_grad


def test_gradients_reach_every_parameter() -> None:
    torch.manual_seed(0)
    model = Fidelity(SMALL)
    rebuilt, rates, _, _ = model(torch.rand(2, 3, 32, 48))
    (rebuilt.square().mean() + sum(rates)).backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in model.parameters())


def test_both_spellings_of_a_strided_projection_agree() -> None:
    torch.manual_seed(0)
    layer, x = StridedProjection(3, 5, 1, 2), torch.randn(1, 3, 8, 6)
    torch.testing.assert_close(layer.train()(x), layer.eval()(x))
