"""Weights that a loss is indifferent to stay where they were, and a resumed run draws them back to the same place."""

from __future__ import annotations

import io

import pytest
import torch
from torch import nn

from edgecodec_train.recipe import Optimiser
from edgecodec_train.stages.reconstruction import adam
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
    """The stage makes its starting weights again, and its optimiser of them, before it loads those of the run."""
    gradients, start = _gradients(20), torch.linspace(-1, 1, 5)
    unbroken = nn.Parameter(start.clone())
    _follow(unbroken, _optimiser(unbroken), gradients)

    broken = nn.Parameter(start.clone())
    first = _optimiser(broken)
    _follow(broken, first, gradients[:10])
    file = io.BytesIO()
    torch.save(first.state_dict(), file)
    file.seek(0)
    resumed = nn.Parameter(start.clone())
    second = _optimiser(resumed)
    with torch.no_grad():
        resumed.copy_(broken)
    second.load_state_dict(torch.load(file, weights_only=True))
    _follow(resumed, second, gradients[10:])
    assert torch.equal(resumed, unbroken)


def test_what_has_no_gradient_stays_and_may_get_one_later() -> None:
    moving, idle = nn.Parameter(torch.zeros(5)), nn.Parameter(torch.ones(5))
    optimiser = _optimiser(moving, idle)
    _follow(moving, optimiser, _gradients(3))
    assert torch.equal(idle, torch.ones(5)) and moving.abs().min() > 0
    with torch.no_grad():
        idle.add_(1)  # by somebody else
    _follow(moving, optimiser, _gradients(1))
    assert torch.equal(idle, torch.full((5,), 2.0))
    _follow(idle, optimiser, [torch.zeros(5)])
    assert idle.detach() == pytest.approx(torch.full((5,), 2 - RATE * TETHER))


def test_a_recipe_gets_it_for_every_group_at_its_rate() -> None:
    groups = [[nn.Parameter(torch.zeros(1))], [nn.Parameter(torch.zeros(1))]]
    made = adam(groups, Optimiser(RATE, tether=TETHER), [1.0, 2.0]).optimiser
    assert isinstance(made, TetheredAdam)
    for group, scale in zip(made.param_groups, (1.0, 2.0), strict=True):
        group["lr"] = scale * RATE  # as the schedule sets it
    with torch.no_grad():
        for (parameter,) in groups:
            parameter.fill_(1.0)
    for (parameter,) in groups:
        parameter.grad = torch.zeros(1)
    made.step()
    assert [parameter.item() for (parameter,) in groups] == pytest.approx([1 - RATE * TETHER, 1 - 2 * RATE * TETHER])
    assert not isinstance(adam(groups, Optimiser(RATE), [1.0, 1.0]).optimiser, TetheredAdam)
