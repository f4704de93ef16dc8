"""Adam whose weights stay near those that they started from."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

START = "start"  # of a parameter's state


class TetheredAdam(torch.optim.Adam):
    """After each step every weight goes the share `tether` * learning rate of its way back to its start.

    That is the penalty L2-SP of Li, Grandvalet and Davoine 2018 (Explicit Inductive Bias for Transfer Learning with
    Convolutional Networks, equation 2), decoupled from Adam's moments as weight decay is in Loshchilov and Hutter 2019
    (Decoupled Weight Decay Regularization). What a loss gains from still moves; what it is indifferent to, where
    weights wander in the noise of gradients, does not.

    The start is what the weights are before the first step. It is part of the optimiser's state, so that a run which is
    resumed has the same.
    """

    def __init__(self, groups: list[dict[str, Any]], *, lr: float, betas: tuple[float, float], tether: float) -> None:
        super().__init__(groups, lr=lr, betas=betas)
        self._tether = tether

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One step. Parameters without a gradient stay as they are."""
        moving = [(group, [each for each in group["params"] if each.grad is not None]) for group in self.param_groups]
        starts = [[self._start(each) for each in parameters] for _, parameters in moving]
        super().step(closure)
        for (group, parameters), before in zip(moving, starts, strict=True):
            for parameter, start in zip(parameters, before, strict=True):
                self.state[parameter][START] = start  # only now, because Adam fills a state that is empty
            if parameters:
                torch._foreach_lerp_(parameters, before, min(1.0, group["lr"] * self._tether))

    def _start(self, parameter: Tensor) -> Tensor:
        known = self.state[parameter].get(START) if parameter in self.state else None
        return parameter.detach().clone() if known is None else known
