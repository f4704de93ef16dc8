"""CRDR's promises to training, to the entropy coder, and to the paper."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from edgecodec.errors import InvalidArgument
from edgecodec_export.calibration import DEFAULT_FOLDER
from edgecodec_export.families import build
from edgecodec_export.families.crdr import Crdr, Preset
from edgecodec_export.layers.densities import gaussian_likelihood
from edgecodec_export.layers.fixed_point import LATENT_LIMIT, LATENT_UNIT, fixed_point

TINY = Preset((8, 4), (12, 6), 16, 8, 8, 4, 2, (8, 8), 5, 16)
SLICE = 4  # channels


@cache
def tiny() -> Crdr:
    """Latents a few units wide, so that rounding, context and residual prediction all matter."""
    torch.manual_seed(2)
    model: Any = Crdr(TINY).eval().requires_grad_(False)
    model.analysis.down4.weight.mul_(200)
    for network in (*model.context.mean, *model.context.residual, *model.context.scale):
        network[-1].weight.mul_(4)
    model.density.quantiles[:, 0, 1] = torch.linspace(-1, 1, 8)
    return model


def picture() -> Tensor:
    return torch.rand(1, 3, 64, 128, generator=torch.Generator().manual_seed(5))


@pytest.mark.parametrize("preset", ["compact", "compact-multirate"])
def test_the_compact_presets_code_a_picture(preset: str) -> None:
    torch.manual_seed(0)
    model = build("crdr", preset).eval().requires_grad_(False)
    assert isinstance(model, Crdr)
    z, y = model.encode(picture(), 2.5)
    for found, latent in zip((z, y), model.encoder_latents(), strict=True):
        assert found.shape == (1, latent.channels, 64 // latent.stride, 128 // latent.stride)
        assert torch.equal(found, found.round())
    y_hat = fixed_point(torch.cat([part.y_hat for part in model.slices_of(z, y * LATENT_UNIT)], 1))
    (latent,) = model.decoder_latents()
    assert y_hat.shape == (1, latent.channels, 64 // latent.stride, 128 // latent.stride)
    assert model.decode(y_hat, 2.5).shape == picture().shape
    assert 2.5e6 < sum(parameter.numel() for parameter in model.parameters()) < 3.5e6


def test_the_published_size_has_the_published_number_of_parameters() -> None:
    with torch.device("meta"):
        model = build("crdr", "published")
    counts = {name: sum(each.numel() for each in part.parameters()) for name, part in model.named_children()}
    assert counts["synthesis"] + counts["realism"] == 13_378_115
    assert counts["hyper_synthesis_mean"] == counts["hyper_synthesis_scale"] == 2_888_448
    assert (counts["analysis"], counts["hyper_analysis"], counts["context"]) == (7_357_632, 4_199_168, 96_989_440)
    assert sum(counts.values()) == 127_712_963


def test_the_decoder_walks_the_slices_as_the_encoder_did() -> None:
    y = tiny().analyse(picture(), 1.0)
    z = tiny().hyperlatent_symbols(y)
    encoded = tiny().slices_of(z, y)
    symbols = torch.cat([part.symbols for part in encoded], 1)
    assert symbols.abs().max() > 1
    for sent, received in zip(encoded, tiny().slices_of(z, symbols=symbols), strict=True):
        assert all(torch.equal(a, b) for a, b in zip(sent, received, strict=True))
    for part, wanted in zip(encoded, y.chunk(4, 1), strict=True):
        assert torch.equal(part.symbols, (wanted - part.mean).round())
        assert float((part.y_hat - wanted).abs().max()) < 1
    with pytest.raises(InvalidArgument):
        tiny().slices_of(z)


def test_forced_symbols_win_over_y() -> None:
    y = tiny().analyse(picture(), 1.0)
    z = tiny().hyperlatent_symbols(y)
    other = torch.ones_like(y)
    assert all(torch.equal(part.symbols, torch.ones_like(part.symbols)) for part in tiny().slices_of(z, y, other))


@pytest.mark.parametrize("changed", range(4))
def test_a_slice_depends_on_the_first_supports_only(changed: int) -> None:
    z = torch.zeros(1, 8, 1, 2)
    symbols = torch.zeros(1, 16, 4, 8)
    before = tiny().slices_of(z, symbols=symbols)
    symbols[:, SLICE * changed : SLICE * (changed + 1)] += 3
    after = tiny().slices_of(z, symbols=symbols)
    depends = [
        not torch.equal(a.mean, b.mean) and not torch.equal(a.scale, b.scale)
        for a, b in zip(before, after, strict=True)
    ]
    assert depends == [changed < min(i, TINY.supports) for i in range(4)]


def test_the_context_is_convolutions_and_rectifiers() -> None:
    context: Any = tiny().context
    for networks in (context.mean, context.scale, context.residual):
        assert [type(layer) for layer in networks[0]] == [nn.Conv2d, nn.ReLU, nn.Conv2d, nn.ReLU, nn.Conv2d]


def test_the_fixed_point_rounds_half_to_even_and_saturates() -> None:
    y = torch.tensor([0.5, 1.5, -2.5, 1e6, -1e6]) * torch.tensor([1, 1, 1, 64, 64]) / 64
    assert fixed_point(y).tolist() == [0, 2, -2, LATENT_LIMIT, -LATENT_LIMIT]


def test_rates_outside_training_are_those_of_the_rounded_latents() -> None:
    rebuilt, rates, _, _ = tiny()(picture(), 1.0, 2.0)
    y = tiny().analyse(picture(), 1.0)
    z = tiny().hyperlatent_symbols(y)
    slices = tiny().slices_of(z, y)
    bits = -sum(float(gaussian_likelihood(part.symbols, part.scale).log2().sum()) for part in slices)
    assert float(rates.latent) == pytest.approx(bits, rel=1e-5)
    assert float(rates.hyperlatent) == pytest.approx(-float(tiny().density.likelihood(z + tiny().medians).log2().sum()))
    y_hat = torch.cat([part.y_hat for part in slices], 1)
    torch.testing.assert_close(rebuilt, tiny().synthesise(y_hat, 1.0, 2.0))


def test_every_weight_but_the_quantiles_learns_from_one_batch() -> None:
    torch.manual_seed(0)
    model = Crdr(TINY).train()
    rebuilt, rates, _, _ = model(picture(), 1)
    (rates.latent + rates.hyperlatent + (rebuilt - picture()).square().sum()).backward()
    silent = {name for name, parameter in model.named_parameters() if parameter.grad is None}
    assert silent == {"density.quantiles"}


def test_each_level_has_weights_of_its_own() -> None:
    model: Any = Crdr(TINY).train()
    for level in range(5):
        model.zero_grad()
        model(picture(), level).picture.sum().backward()
        learned = model.synthesis.up4_rate.bias.grad.abs().sum((1, 2, 3)) > 0
        assert learned.tolist() == [each == level for each in range(5)]


def test_without_a_quality_it_is_the_middle_one() -> None:
    model: Any = Crdr(TINY).train()
    for _ in range(4):
        rebuilt = model(picture()).picture
        rebuilt.sum().backward()
    learned = model.synthesis.up4_rate.bias.grad.abs().sum((1, 2, 3)) > 0
    assert learned.tolist() == [False, False, True, False, False]


def photograph_crops(side: int, count: int) -> Tensor:
    """(count, 3, side, side) in [0, 1]."""
    generator, files = np.random.default_rng(0), sorted(DEFAULT_FOLDER.glob("*.webp"))
    photos = [np.asarray(Image.open(file).convert("RGB")) for file in files]
    crops = []
    for i in range(count):
        photo = photos[i % len(photos)]
        top, left = (int(generator.integers(room - side + 1)) for room in photo.shape[:2])
        crops.append(photo[top : top + side, left : left + side])
    return torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).float() / 255


def test_the_start_carries_photographs_at_every_rate() -> None:
    torch.manual_seed(0)
    model = build("crdr", "compact").eval()
    assert isinstance(model, Crdr)
    crops = photograph_crops(64, 56)
    model.initialise(crops[8:])
    unseen = crops[:8]
    with torch.no_grad():
        coded = [model(unseen, level) for level in range(5)]
    bits = [float(sum(rates)) / unseen[:, 0].numel() for _, rates, _, _ in coded]
    psnr = [-10 * math.log10(float((rebuilt - unseen).square().mean())) for rebuilt, *_ in coded]
    assert bits == sorted(bits)
    assert psnr == sorted(psnr)
    assert psnr[0] > 18  # a random start gives 10, at every rate
