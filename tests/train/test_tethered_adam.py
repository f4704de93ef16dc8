"""Weights that a loss is indifferent to stay where they were, and a resumed run draws them back to the same place."""

from __future__ import annotations

import io

import pytest
import torch
from torch import nn

from edgecodec_train.tethered_adam import TetheredAdam

RATE, TETHER = 0.01, 8.0


def _optimiser(*parameters: nn.Parameter) -> TetheredAdam:
    return TetheredAdam([{"params": list(parameters)}], lr=RATE, betas=(0.9, 0.999), tether=TETHER)


def _gradients(count: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(5, generator=generator) for _ in range(count)]


def _follow(parameter: nn.Parameter, optimiser: torch.optim.Optimizer, gradients: list[torch.Tensor]) -> None:
    for gradient in gradients:
        parameter.grad = gradient.clone()
        optimiser.step()


def test_it_is_adam_and_a_share_of_the_way_back() -> None:
    start = torch.linspace(-1, 1, 5)
    tethered, plain = nn.Parameter(start.clone()), nn.Parameter(start.clone())
    optimiser, adam = _optimiser(tethered), torch.optim.Adam([plain], lr=RATE, betas=(0.9, 0.999))
    for gradient in _gradients(50):
        _follow(tethered, optimiser, [gradient])
        _follow(plain, adam, [gradient])
        with torch.no_grad():
            plain.add_(RATE * TETHER * (start - plain))
        assert torch.allclose(tethered, plain, rtol=0, atol=1e-6)


def test_noise_leads_nowhere_and_a_steady_slope_does() -> None:
    wandering, pulled = nn.Parameter(torch.zeros(5)), nn.Parameter(torch.zeros(5))
    _follow(wandering, _optimiser(wandering), _gradients(2000))
    _follow(pulled, _optimiser(pulled), [torch.full((5,), -1.0)] * 2000)
    assert wandering.abs().max() < 0.1
    assert pulled.detach() == pytest.approx(torch.full((5,), 1 / TETHER), abs=0.02)


def test_a_resumed_run_has_the_same_start() -> None:
    gradients = _gradients(20)
    unbroken = nn.Parameter(torch.zeros(5))
    _follow(unbroken, _optimiser(unbroken), gradients)

    broken = nn.Parameter(torch.zeros(5))
    first = _optimiser(broken)
    _follow(broken, first, gradients[:10])
    file = io.BytesIO()
    torch.save(first.state_dict(), file)
    file.seek(0)
    resumed = nn.Parameter(broken.detach().clone())
    second = _optimiser(resumed)
    second.load_state_dict(torch.load(file, weights_only=True))
    _follow(resumed, second, gradients[10:])
    assert torch.equal(resumed, unbroken)


def test_what_has_no_gradient_stays() -> None:
    moving, idle = nn.Parameter(torch.zeros(5)), nn.Parameter(torch.ones(5))
    optimiser = _optimiser(moving, idle)
    _follow(moving, optimiser, _gradients(3))
    assert torch.equal(idle, torch.ones(5)) and moving.abs().min() > 0
