"""The layers against plain statements of their formulas, and the models' promises to training and export."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import nn

from edgecodec_export.families import FAMILIES, ScaleHyperprior, build
from edgecodec_export.families.blocks import (
    GDN,
    ChannelNorm,
    FactorizedDensity,
    gaussian_likelihood,
    logistic_likelihood,
    lower_bound,
)
from edgecodec_export.families.hific import Hific, Preset

SMALL = Preset((4, 8, 8, 16, 16), 8, 8, 1)


@pytest.mark.parametrize("training", [False, True])
def test_channel_norm_is_its_formula_in_both_spellings(training: bool) -> None:
    torch.manual_seed(0)
    norm = ChannelNorm(12).train(training)
    norm.gamma.data.normal_()
    norm.beta.data.normal_()
    x = torch.randn(2, 12, 5, 7) * 3 + 1
    variance = x.double().var(1, unbiased=True, keepdim=True)
    expected = (x - x.mean(1, keepdim=True)).double() / torch.sqrt(variance + 1e-3) * norm.gamma + norm.beta
    torch.testing.assert_close(norm(x).double(), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("inverse", [False, True])
def test_gdn_squares_its_stored_parameters(inverse: bool) -> None:
    torch.manual_seed(0)
    gdn = GDN(6, inverse)
    gdn.beta.data.uniform_(0.5, 2)
    gdn.gamma.data.uniform_(-0.1, 0.6)
    x = torch.randn(1, 6, 3, 4)
    pedestal = 2.0**-36
    beta = gdn.beta.clamp_min(math.sqrt(1e-6 + pedestal)) ** 2 - pedestal
    gamma = gdn.gamma.clamp_min(2.0**-18) ** 2 - pedestal
    root = torch.sqrt(beta[:, None, None] + torch.einsum("ij,bjhw->bihw", gamma, x**2))
    torch.testing.assert_close(gdn(x), x * root if inverse else x / root)


def test_factorized_density_sums_to_one() -> None:
    torch.manual_seed(0)
    density = FactorizedDensity(3)
    values = torch.arange(-400.0, 401.0).reshape(1, 1, 1, -1).expand(1, 3, 1, -1)
    torch.testing.assert_close(density.likelihood(values).sum((2, 3)), torch.ones(1, 3), rtol=1e-3, atol=1e-3)


def test_gaussian_likelihood_sums_to_one_and_knows_its_bound() -> None:
    values = torch.arange(-60.0, 61.0)
    for scale in (0.01, 0.11, 1.0, 7.5):
        assert gaussian_likelihood(values, torch.full_like(values, scale)).sum().item() == pytest.approx(1, abs=1e-4)
    tiny, bound = (gaussian_likelihood(torch.ones(1), torch.full((1,), scale)) for scale in (0.001, 0.11))
    assert tiny.item() == bound.item()


def test_logistic_likelihood_sums_to_one_and_knows_its_bound() -> None:
    values = torch.arange(-200.0, 201.0)
    for scale in (0.01, 0.11, 1.0, 7.5):
        assert logistic_likelihood(values, torch.full_like(values, scale)).sum().item() == pytest.approx(1, abs=1e-4)
    tiny, bound = (logistic_likelihood(torch.ones(1), torch.full((1,), scale)) for scale in (0.001, 0.11))
    assert tiny.item() == bound.item()


def test_lower_bound_learns_from_below() -> None:
    x = torch.tensor([-1.0, -1.0, 2.0], requires_grad=True)
    (lower_bound(x, 0.0) * torch.tensor([-1.0, 1.0, 1.0])).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [-1.0, 0.0, 1.0]  # lifted towards the bound, not pushed further away


@pytest.mark.parametrize("family", sorted(name for name in FAMILIES if issubclass(FAMILIES[name], ScaleHyperprior)))
def test_the_compact_preset_of_every_scale_hyperprior_codes_a_picture(family: str) -> None:
    torch.manual_seed(0)
    model: Any = build(family, "compact").eval()
    image = torch.rand(1, 3, 64, 128)
    with torch.no_grad():
        z_symbols, residual, y = model.quantise(model.analysis(image))
        assert z_symbols.shape == (1, model.hyperlatent_channels, 1, 2)
        assert residual.shape == (1, model.latent_channels, 4, 8)
        assert torch.equal(residual, residual.round())
        torch.testing.assert_close(model.rebuild(z_symbols, residual), y)
        assert model.synthesis(y).shape == image.shape
        assert all(map(torch.equal, model.encode(image), (z_symbols, residual)))
        assert torch.equal(model.decode(z_symbols, residual), model.synthesis(model.rebuild(z_symbols, residual)))
        for latent, symbols in zip(model.encoder_latents(), (z_symbols, residual), strict=True):
            assert symbols.shape == (1, latent.channels, 64 // latent.stride, 128 // latent.stride)
        medians = model.density.medians.reshape(1, -1, 1, 1)
        assert model.scale_network()(z_symbols + medians).shape == residual.shape


@pytest.mark.parametrize(("family", "millions"), [("hific", 181.5), ("hyperprior", 17.6)])
def test_published_sizes_have_the_published_number_of_parameters(family: str, millions: float) -> None:
    with torch.device("meta"):
        model: Any = build(family, "published")
    density = {id(parameter) for parameter in model.density.parameters()}
    count = sum(parameter.numel() for parameter in model.parameters() if id(parameter) not in density)
    assert count / 1e6 == pytest.approx(millions, abs=0.06)


def test_hific_has_the_stages_of_the_paper() -> None:
    model: Any = Hific(SMALL)
    strides = [layer.stride[0] for layer in model.analysis if isinstance(layer, nn.Conv2d)]
    assert strides == [1, 2, 2, 2, 2, 1]
    assert sum(isinstance(layer, nn.ConvTranspose2d) for layer in model.synthesis.modules()) == 4
