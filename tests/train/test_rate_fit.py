"""The fitted rate is the least squares of real files: what a bundle's encoder writes, at every value of the knob."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch

from edgecodec import container
from edgecodec.description import RateFit
from edgecodec.entropy_model import EntropyModel
from edgecodec.errors import InvalidArgument
from edgecodec_export.calibration import Picture, to_tensor
from edgecodec_train.rate_fit import fit_rate
from support.make_tiny_bundle import tiny_pictures
from support.rate_curve import bits_per_pixel
from support.tiny_codecs import tiny_codec

VALUES = (-2.0, -1.0, 0.0, 1.0, 2.0)
CALIBRATING = tiny_pictures(2, 64, 96)
PHOTOGRAPHS = [*tiny_pictures(2, 96, 64), *tiny_pictures(1, 64, 64)]


@pytest.fixture(scope="module")
def model() -> Any:
    return tiny_codec("tunable")


@pytest.fixture(scope="module")
def fit(model: Any) -> RateFit:
    return fit_rate(model, "n", VALUES, PHOTOGRAPHS, calibrating=CALIBRATING)


@pytest.fixture(scope="module")
def entropy(model: Any) -> EntropyModel:
    """Calibrated as an export calibrates it: all pictures at every one of its settings."""
    freezer = model.freezer()
    observations = [freezer.observe(to_tensor(picture), n=n) for n in VALUES for picture in CALIBRATING]
    return EntropyModel(freezer.freeze(observations).to_bytes())


@torch.no_grad()
def logarithm(model: Any, entropy: EntropyModel, picture: Picture, n: float) -> float:
    """log2 of the bits per pixel of a whole file, coded and parsed again."""
    height, width = picture.shape[:2]
    (symbols,) = model.encode(to_tensor(picture), n)
    latents = {"symbols": symbols[0].numpy().astype(np.int16)}
    payload, lanes = entropy.encode(latents, width=width, height=height)
    file = container.write(payload, width=width, height=height, lanes=lanes, model_id=entropy.model_id)
    return float(np.log2(container.parse(file).info.bits_per_pixel))


def test_the_fit_is_numpys_through_the_files_of_every_photograph(
    model: Any, entropy: EntropyModel, fit: RateFit
) -> None:
    table = np.array([[logarithm(model, entropy, picture, n) for picture in PHOTOGRAPHS] for n in VALUES])
    every_n = np.repeat(VALUES, len(PHOTOGRAPHS))
    polynomial = np.polyfit(every_n, table.ravel(), 3)
    assert np.ptp(table) > 0.5  # files do become smaller
    assert fit.coefficients == pytest.approx(polynomial[::-1].tolist(), abs=1e-9)
    assert (fit.low, fit.high) == (-2.0, 2.0)
    off = 2 ** (table.mean(1) - np.polyval(polynomial, VALUES)) - 1
    assert fit.residual_percent == pytest.approx(100 * np.sqrt(np.mean(off**2)))
    assert 0 < fit.residual_percent < 10


@pytest.mark.parametrize("n", [-1.5, 0.25, 1.75])
def test_the_fit_foretells_the_rate_between_its_values(
    model: Any, entropy: EntropyModel, fit: RateFit, n: float
) -> None:
    rate = 2 ** np.mean([logarithm(model, entropy, picture, n) for picture in PHOTOGRAPHS])
    assert bits_per_pixel(fit, n) == pytest.approx(rate, rel=0.1)


def test_few_values_lower_the_degree_until_the_curve_meets_them(model: Any, entropy: EntropyModel) -> None:
    fit = fit_rate(model, "n", (1.0, -1.0, 1.0), PHOTOGRAPHS[:1], calibrating=CALIBRATING)
    assert len(fit.coefficients) == 2
    assert fit.residual_percent == pytest.approx(0, abs=1e-6)
    for n in (-1.0, 1.0):
        assert np.log2(bits_per_pixel(fit, n)) == pytest.approx(logarithm(model, entropy, PHOTOGRAPHS[0], n))


def test_a_model_in_training_stays_in_training_and_is_measured_as_it_will_be_exported(model: Any, fit: RateFit) -> None:
    learning = copy.deepcopy(model).train().requires_grad_(True)
    before = {name: tensor.clone() for name, tensor in learning.state_dict().items()}
    assert fit_rate(learning, "n", VALUES, PHOTOGRAPHS, calibrating=CALIBRATING) == fit
    assert all(module.training for module in learning.modules())
    assert all(torch.equal(tensor, before[name]) for name, tensor in learning.state_dict().items())


def test_photographs_are_cut_to_the_alignment(model: Any) -> None:
    odd = [np.pad(picture, ((0, 7), (0, 3), (0, 0)), mode="edge") for picture in PHOTOGRAPHS[:1]]
    cut, whole = (fit_rate(model, "n", (0, 1), each, calibrating=CALIBRATING) for each in (odd, PHOTOGRAPHS[:1]))
    assert cut == whole


@pytest.mark.parametrize(
    ("knob", "values", "photographs", "degree", "problem"),
    [
        ("m", VALUES, PHOTOGRAPHS, 3, "knob: 'm' is not a scalar knob of tunable"),
        ("n", (), PHOTOGRAPHS, 3, "values: "),
        ("n", (1.0, 1.0), PHOTOGRAPHS, 3, "not two or more from -2 to 2"),
        ("n", (0.0, 2.5), PHOTOGRAPHS, 3, "not two or more from -2 to 2"),
        ("n", (0.0, float("nan")), PHOTOGRAPHS, 3, "not two or more from -2 to 2"),
        ("n", VALUES, [], 3, "there are no photographs"),
        ("n", VALUES, [PHOTOGRAPHS[0][:15]], 3, "photographs: one is 64x15"),
        ("n", VALUES, PHOTOGRAPHS, 8, "degree: is 8, not 0 to 7"),
    ],
)
def test_what_cannot_be_fitted(
    model: Any, knob: str, values: tuple[float, ...], photographs: list[Picture], degree: int, problem: str
) -> None:
    with pytest.raises(InvalidArgument) as caught:
        fit_rate(model, knob, values, photographs, calibrating=CALIBRATING, degree=degree)
    assert problem in str(caught.value)


def test_a_baked_knob_is_none() -> None:
    with pytest.raises(InvalidArgument, match="not a scalar knob of fidelity"):
        fit_rate(tiny_codec("fidelity"), "alpha", VALUES, PHOTOGRAPHS)
