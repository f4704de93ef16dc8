"""Operations with a gradient other than their own, which let networks train through bounds and rounding."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


class _LowerBound(torch.autograd.Function):
    """max(x, bound) whose gradient still flows where it would lift x back over the bound."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, bound: float) -> Tensor:
        ctx.save_for_backward(x)
        ctx.bound = bound
        return x.clamp_min(bound)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (x,) = ctx.saved_tensors
        passes = (x >= ctx.bound) | (gradient < 0)
        return gradient * passes, None


def lower_bound(x: Tensor, bound: float) -> Tensor:
    """Elementwise max(x, bound), trainable from below the bound."""
    bounded: Tensor = _LowerBound.apply(x, bound)
    return bounded


def add_uniform_noise(x: Tensor) -> Tensor:
    """x plus noise between -1/2 and 1/2, in place of rounding where rates are trained (Balle et al. 2017)."""
    return x + torch.empty_like(x).uniform_(-0.5, 0.5)


def round_straight_through(x: Tensor, rounding: Callable[[Tensor], Tensor] = torch.round) -> Tensor:
    """Rounded forward, identity backward. rounding: half to even unless said otherwise."""
    return x + (rounding(x) - x).detach()
