"""The layers against plain statements of their formulas."""

from __future__ import annotations

import math

import pytest
import torch

from edgecodec_export.layers.densities import FactorizedDensity, gaussian_likelihood, logistic_likelihood
from edgecodec_export.layers.gradients import lower_bound
from edgecodec_export.layers.normalisation import GDN, ChannelNorm


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


def test_gaussian_likelihood_sums_to_one_and_has_a_least_scale() -> None:
    values = torch.arange(-60.0, 61.0)
    for scale in (0.01, 0.11, 1.0, 7.5):
        assert gaussian_likelihood(values, torch.full_like(values, scale)).sum().item() == pytest.approx(1, abs=1e-4)
    tiny, bound = (gaussian_likelihood(torch.ones(1), torch.full((1,), scale)) for scale in (0.001, 0.11))
    assert tiny.item() == bound.item()


def test_logistic_likelihood_sums_to_one_and_has_a_least_scale() -> None:
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
