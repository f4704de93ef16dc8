"""What is set without a gradient: medians of densities, and statistics of batch norms."""

from __future__ import annotations

import torch
from torch import nn

from edgecodec_export.layers.densities import FactorizedDensity


def densities(model: nn.Module) -> list[FactorizedDensity]:
    return [module for module in model.modules() if isinstance(module, FactorizedDensity)]


def settle_norms(model: nn.Module) -> None:
    """Let batch norms use their stored statistics, and leave them as they are.

    The statistics of a batch of few crops depend on what these show and on the rate, which hides brightness from the
    decoder; outside training the stored ones are used anyway.
    """
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()


@torch.no_grad()
def settle_medians(model: nn.Module, steps: int = 60) -> None:
    """Move the stored medians to the medians of each density by bisection of its monotone cumulative."""
    for density in densities(model):
        quantiles = density.quantiles
        low, high = torch.full_like(quantiles[:, :, 1:2], -256.0), torch.full_like(quantiles[:, :, 1:2], 256.0)
        for _ in range(steps):
            middle = (low + high) / 2
            above = density.logits_cumulative(middle) > 0
            low, high = torch.where(above, low, middle), torch.where(above, middle, high)
        quantiles[:, :, 1:2] = (low + high) / 2
