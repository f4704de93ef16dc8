"""Densities of latents, and the probabilities of the integers under them."""

from __future__ import annotations

import math
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgecodec_export.layers.gradients import lower_bound

SCALE_BOUND = 0.11  # smallest standard deviation of a coded latent (Balle et al. 2018, section 5)


class FactorizedDensity(nn.Module):
    """Learned density of each hyperlatent channel (Balle et al. 2018, appendix 6.1).

    Parameters carry the names and shapes CompressAI gives them, so its checkpoints load key for key:
    `_matrix{k}` (C, out, in), `_bias{k}` (C, out, 1), `_factor{k}` (C, out, 1), and `quantiles` (C, 1, 3) whose
    middle column is the median.
    """

    FILTERS = (1, 3, 3, 3, 3, 1)

    def __init__(self, channels: int, initial_scale: float = 10.0) -> None:
        super().__init__()
        self.channels = channels
        scale = initial_scale ** (1 / (len(self.FILTERS) - 1))
        for k, (inputs, outputs) in enumerate(pairwise(self.FILTERS)):
            fill = math.log(math.expm1(1 / scale / outputs))
            self.register_parameter(f"_matrix{k}", nn.Parameter(torch.full((channels, outputs, inputs), fill)))
            self.register_parameter(f"_bias{k}", nn.Parameter(torch.rand(channels, outputs, 1) - 0.5))
            if k < len(self.FILTERS) - 2:
                self.register_parameter(f"_factor{k}", nn.Parameter(torch.zeros(channels, outputs, 1)))
        bounds = torch.tensor([-initial_scale, 0.0, initial_scale])
        self.quantiles = nn.Parameter(bounds.repeat(channels, 1, 1))

    @property
    def medians(self) -> Tensor:
        """(C,) the value that codes as symbol 0."""
        return self.quantiles[:, 0, 1].detach()

    def logits_cumulative(self, x: Tensor, frozen: bool = False) -> Tensor:
        """(C, 1, n) values to (C, 1, n) logits of their cumulative probability."""
        for k in range(len(self.FILTERS) - 1):
            parameters = [getattr(self, f"_matrix{k}"), getattr(self, f"_bias{k}"), getattr(self, f"_factor{k}", None)]
            matrix, bias, factor = [p.detach() if frozen and p is not None else p for p in parameters]
            x = F.softplus(matrix) @ x + bias
            if factor is not None:
                x = x + torch.tanh(factor) * torch.tanh(x)
        return x

    def likelihood(self, z: Tensor) -> Tensor:
        """(B, C, h, w) values to the probability of the unit interval around each, at least 1e-9."""
        flat = z.transpose(0, 1).reshape(self.channels, 1, -1)
        lower, upper = self.logits_cumulative(flat - 0.5), self.logits_cumulative(flat + 0.5)
        sign = -torch.sign(lower + upper).detach()
        mass = torch.abs(torch.sigmoid(sign * upper) - torch.sigmoid(sign * lower))
        shape = (self.channels, z.shape[0], *z.shape[2:])
        return lower_bound(mass, 1e-9).reshape(shape).transpose(0, 1)

    def quantile_loss(self) -> Tensor:
        """Auxiliary loss that pulls `quantiles` to the tails (1e-9) and the median; trains nothing else."""
        tail = math.log(2 / 1e-9 - 1)
        target = torch.tensor([-tail, 0.0, tail], device=self.quantiles.device)
        return torch.abs(self.logits_cumulative(self.quantiles, frozen=True) - target).sum()


def gaussian_likelihood(residual: Tensor, scale: Tensor, scale_bound: float = SCALE_BOUND) -> Tensor:
    """Probability of the unit interval around `residual` under N(0, max(scale, scale_bound)), at least 1e-9."""
    magnitude = residual.abs()
    scale = lower_bound(scale, scale_bound)
    mass = _normal_cdf((0.5 - magnitude) / scale) - _normal_cdf((-0.5 - magnitude) / scale)
    return lower_bound(mass, 1e-9)


def logistic_likelihood(residual: Tensor, scale: Tensor) -> Tensor:
    """Probability of the unit interval around `residual` under a logistic density of mean 0, at least 1e-9.

    scale: of the logistic, not its standard deviation, which is pi / sqrt(3) times larger; at least 0.11 is taken.
    """
    magnitude = residual.abs()
    scale = lower_bound(scale, SCALE_BOUND)
    mass = torch.sigmoid((0.5 - magnitude) / scale) - torch.sigmoid((-0.5 - magnitude) / scale)
    return lower_bound(mass, 1e-9)


def _normal_cdf(x: Tensor) -> Tensor:
    return 0.5 * torch.erfc(-(2**-0.5) * x)
