"""Adam whose weights stay near those that they started from."""

from __future__ import annotations

from typing import Any

import torch


class TetheredAdam(torch.optim.Adam):
    """After each step every weight goes the share `tether` * learning rate of its way back to its start.

    That is the penalty L2-SP of Li, Grandvalet and Davoine 2018 (Explicit Inductive Bias for Transfer Learning with
    Convolutional Networks), decoupled from Adam's moments as weight decay is in Loshchilov and Hutter 2019
    (Decoupled Weight Decay Regularization). Where the loss is indifferent, exp(-tether * sum of the learning rates) is
    left of a stray.

    The start is what the weights are when the optimiser is made. It is no part of its state.
    """

    def __init__(self, groups: list[dict[str, Any]], *, lr: float, betas: tuple[float, float], tether: float) -> None:
        super().__init__(groups, lr=lr, betas=betas)
        self._tether = tether
        self._starts = [[each.detach().clone() for each in group["params"]] for group in self.param_groups]

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One step. Parameters without a gradient stay as they are."""
        super().step(closure)
        for group, starts in zip(self.param_groups, self._starts, strict=True):
            moved = [pair for pair in zip(group["params"], starts, strict=True) if pair[0].grad is not None]
            if moved:
                parameters, before = map(list, zip(*moved, strict=True))
                torch._foreach_lerp_(parameters, before, min(1.0, group["lr"] * self._tether))
