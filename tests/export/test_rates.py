"""What training takes for the rate is what the entropy coder will need, in every convention that an import may have."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor

from edgecodec_export.calibration import to_tensor
from edgecodec_export.families import ScaleHyperprior
from support.make_tiny_bundle import tiny_pictures
from support.tiny_codecs import tiny_codec

SCALE_HYPERPRIORS = ("hific", "hific-reflect", "hyperprior")


def image() -> Tensor:
    return to_tensor(tiny_pictures()[1])


def with_constant(network: Any, value: Tensor | float) -> None:
    """The network gives `value`, one for all channels or one for each, everywhere."""
    network[-1].weight.zero_()
    network[-1].bias[:] = value


@torch.no_grad()
def bits(name: str, likelihood: Any, training: bool = False) -> tuple[float, float]:
    """Of one picture: the rate of `forward`, and what the tables of the float scales need.

    Residuals are within a few scales, where the floor that likelihoods have for learning's sake plays no part.
    """
    model: Any = copy.deepcopy(tiny_codec(name)).train(training)
    assert isinstance(model, ScaleHyperprior)
    model.likelihood = likelihood
    spread = float(model.quantise(model.analysis(image()))[1].std())
    last: Any = model.scale_network()[-1]
    last.bias[:] = 1.5 * spread
    rates = model(image()).rates
    freezer = model.freezer()
    return float(sum(rates)), freezer.float_bits([freezer.observe(image())])


@pytest.mark.parametrize("name", SCALE_HYPERPRIORS)
def test_the_rate_is_that_of_the_configured_likelihood(name: str) -> None:
    rates = {likelihood: bits(name, likelihood) for likelihood in ("gaussian", "logistic")}
    for rate, tables in rates.values():
        assert rate == pytest.approx(tables, rel=0.02)
    assert rates["logistic"][0] > 1.05 * rates["gaussian"][0], "or one could be taken for the other"


def test_an_imported_model_is_trained_with_the_likelihood_of_its_origin() -> None:
    model = tiny_codec("hific-reflect")
    assert model.preset.likelihood == model.likelihood == "logistic"


@torch.no_grad()
def test_the_rate_in_training_is_about_that_of_rounded_latents() -> None:
    torch.manual_seed(0)
    for likelihood in ("gaussian", "logistic"):
        noisy, tables = bits("hific-reflect", likelihood, training=True)
        assert noisy == pytest.approx(tables, rel=0.1)


@torch.no_grad()
@pytest.mark.parametrize("name", ["hific", "hific-reflect"])
def test_halves_are_rounded_as_configured(name: str) -> None:
    """r = 0.5, 1.5, 2.5... by channel: to the even one, or up."""
    model = copy.deepcopy(tiny_codec(name))
    halves = torch.arange(model.latent_channels) + 0.5
    with_constant(model.analysis, halves)
    with_constant(model.hyper_synthesis_mean, 0.0)
    with_constant(model.hyper_synthesis_scale, 4.0)
    rounded = {"half to even": torch.round(halves), "half up": torch.floor(halves + 0.5)}
    expected, other = (rounded[each] for each in sorted(rounded, key=lambda rule: rule != model.preset.rounding))
    z, r = model.encode(image())
    assert torch.equal(r[0, :, 0, 0], expected)
    picture, rates, _, _ = model(image())
    torch.testing.assert_close(picture, model.decode(z, r), rtol=0, atol=1e-5)
    assert (picture - model.decode(z, other.reshape(1, -1, 1, 1).expand_as(r))).abs().max() > 1e-2
    freezer = model.freezer()
    assert float(sum(rates)) == pytest.approx(freezer.float_bits([freezer.observe(image())]), rel=0.02)


@torch.no_grad()
def test_the_mixture_has_the_same_bits_in_training_code_and_in_export() -> None:
    model = tiny_codec("fidelity")
    freezer = model.freezer()
    assert float(model(image()).rates.latent) == pytest.approx(freezer.float_bits([freezer.observe(image())]), rel=1e-5)
