"""Under autocast transforms may compute in bfloat16; latents, their probabilities and rates stay in float32."""

from __future__ import annotations

import copy
import importlib
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from edgecodec_export.layers import densities
from edgecodec_export.layers.precision import EndsInFloat32
from support.tiny_codecs import tiny_codec


def bfloat16() -> torch.autocast:
    return torch.autocast("cpu", torch.bfloat16)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(
    ("name", "module", "density"),
    [
        ("hific", "families.scale_hyperprior", "gaussian_likelihood"),
        ("hific-reflect", "families.scale_hyperprior", "logistic_likelihood"),
        ("hyperprior", "families.scale_hyperprior", "gaussian_likelihood"),
        ("crdr", "families.crdr", "gaussian_likelihood"),
        ("fidelity", "layers.causal_mixture", "gaussian_likelihood"),
    ],
)
def test_probabilities_are_those_of_float32_latents(
    name: str, module: str, density: str, training: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[torch.dtype] = []
    original: Any = getattr(densities, density)

    def recorded(residual: Tensor, scale: Tensor, *bound: float) -> Tensor:
        seen.extend([residual.dtype, scale.dtype])
        likelihood: Tensor = original(residual, scale, *bound)
        return likelihood

    users: ModuleType = importlib.import_module(f"edgecodec_export.{module}")
    monkeypatch.setattr(users, density, recorded)
    model = copy.deepcopy(tiny_codec(name)).train(training)
    with bfloat16():
        passed = model(torch.rand(1, 3, 64, 64))
    assert seen and set(seen) == {torch.float32}
    assert {passed.rates.latent.dtype, passed.rates.hyperlatent.dtype, passed.rounded.dtype} == {torch.float32}
    assert passed.condition.dtype == torch.float32


def test_the_last_layer_does_not_round_its_result() -> None:
    layers = EndsInFloat32(nn.Conv2d(3, 4, 1), nn.Conv2d(4, 2, 1))
    x = torch.rand(1, 3, 8, 8)
    with torch.no_grad(), bfloat16():
        result = layers(x)
        features = layers[0](x)
    assert features.dtype == torch.bfloat16
    assert torch.equal(result, layers[1](features.float()))
    assert layers.state_dict().keys() == nn.Sequential(*layers).state_dict().keys()
