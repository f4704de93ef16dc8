"""Learning rates rise, fall and drop where the recipe says, also in a run that was broken off."""

from __future__ import annotations

import math

import pytest
import torch

from edgecodec_train.schedule import Schedule, scheduler_at


def rates(schedule: Schedule, steps: int, first: int = 0, base: float = 1.0) -> list[float]:
    """The learning rate of each step from `first` on."""
    optimiser = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=base)
    scheduler = scheduler_at(optimiser, schedule, steps, first)
    found = []
    for _ in range(first, steps):
        found.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        scheduler.step()
    return found


def test_half_a_cosine_ends_at_the_final_rate() -> None:
    found = rates(Schedule(final=0.1), 10)
    expected = [0.1 + 0.9 * (1 + math.cos(math.pi * step / 10)) / 2 for step in range(10)]
    assert found == pytest.approx(expected)


def test_the_rate_rises_first() -> None:
    found = rates(Schedule(warm_up=4, final=0.0), 12)
    assert found[:5] == pytest.approx([0.25, 0.4375, 0.625, 0.8125, 1.0])
    assert found[5:] == pytest.approx([(1 + math.cos(math.pi * step / 8)) / 2 for step in range(1, 8)])


def test_the_rate_drops_at_its_steps() -> None:
    assert rates(Schedule(drops=(2, 4), factor=0.5), 6) == [1, 1, 0.5, 0.5, 0.25, 0.25]
    assert rates(Schedule(), 3) == [1, 1, 1]


@pytest.mark.parametrize("schedule", [Schedule(warm_up=3, final=0.01), Schedule(drops=(2, 5)), Schedule(warm_up=2)])
@pytest.mark.parametrize("done", [1, 2, 4, 7])
def test_a_resumed_schedule_goes_on_exactly(schedule: Schedule, done: int) -> None:
    assert rates(schedule, 8, done) == rates(schedule, 8)[done:]
