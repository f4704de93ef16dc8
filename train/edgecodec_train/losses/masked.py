"""Squared error of a part of a picture."""

from __future__ import annotations

import torch
from torch import Tensor


def mean_squared_error(rebuilt: Tensor, image: Tensor, weight: Tensor | None = None) -> Tensor:
    """Mean of the squared differences of pictures (B, C, H, W), a scalar. weight: (B, 1, H, W), from 0 up.

    With a weight it is the sum of weight times square over the sum of weights, both over the whole batch: for a mask of
    0 and 1 the mean over kept values, as in selective compression (Agustsson et al. 2019). Where every weight is 0 it
    is 0, and so is its gradient.
    """
    squares = (rebuilt - image).square()
    if weight is None:
        return squares.mean()
    total = weight.expand_as(squares).sum()
    return (weight * squares).sum() / torch.where(total > 0, total, 1)
