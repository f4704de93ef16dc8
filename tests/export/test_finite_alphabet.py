"""The finite-alphabet quantiser that two families share, against plain statements of it."""

from __future__ import annotations

import math

import pytest
import torch

from edgecodec_export.layers.finite_alphabet import nearest_level, soft_to_hard, static_code_bits


@pytest.mark.parametrize(("lowest", "levels"), [(-2, 5), (0, 4)])
def test_the_nearest_centre_is_taken_and_the_lower_of_two(lowest: int, levels: int) -> None:
    y = torch.cat((torch.linspace(-4, 6, 1001), torch.arange(-4, 6) + 0.5)).double()
    centres = torch.arange(lowest, lowest + levels).double()
    first_of_the_smallest = (y[:, None] - centres).abs().argmin(1)
    assert torch.equal(nearest_level(y, lowest, levels), centres[first_of_the_smallest])


def test_ties_are_exact_in_float32() -> None:
    half = torch.tensor([-0.5, 0.5, 1.5])
    above = torch.nextafter(half, torch.full((3,), 9.0))
    assert nearest_level(half, -2, 5).tolist() == [-1, 0, 1]
    assert nearest_level(above, -2, 5).tolist() == [0, 1, 2]


def test_soft_to_hard_is_hard_forward_and_soft_backward() -> None:
    torch.manual_seed(0)
    y = torch.randn(2, 3, 4, 5, dtype=torch.float64, requires_grad=True)
    hard, assignment = soft_to_hard(y, -2, 5)
    torch.testing.assert_close(hard, nearest_level(y, -2, 5))
    torch.testing.assert_close(assignment.sum(-1), torch.ones_like(y))
    (given,) = torch.autograd.grad(hard.sum(), y)
    centres = torch.arange(-2, 3, dtype=torch.float64)
    weights = torch.exp(-((y[..., None] - centres) ** 2))
    (wanted,) = torch.autograd.grad(((weights * centres).sum(-1) / weights.sum(-1)).sum(), y)
    torch.testing.assert_close(given, wanted)


def test_a_static_code_pays_the_entropy_of_what_is_kept() -> None:
    symbols = torch.tensor([0, 0, 1, 2, 3, 3, 3, 3]).reshape(1, 1, 2, 4)
    assignment = torch.nn.functional.one_hot(symbols, 4).float()
    everything = static_code_bits(assignment, torch.ones(1, 1, 2, 4)).item()
    assert everything == pytest.approx(-(2 * math.log2(2 / 8) + 2 * math.log2(1 / 8) + 4 * math.log2(4 / 8)))
    first_row = torch.tensor([1.0, 1, 1, 1, 0, 0, 0, 0]).reshape(1, 1, 2, 4)
    assert static_code_bits(assignment, first_row).item() == pytest.approx(6)
    assert static_code_bits(assignment, torch.zeros(1, 1, 2, 4)).item() == 0
