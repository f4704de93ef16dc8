"""Layers that more than one family uses. Layout is NCHW, float32, throughout."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SCALE_BOUND = 0.11  # smallest standard deviation of a coded latent (Balle et al. 2018, section 5)


class _LowerBound(torch.autograd.Function):
    """max(x, bound) whose gradient still flows where it would lift x back over the bound."""

    @staticmethod
    def forward(ctx, x: Tensor, bound: float) -> Tensor:
        ctx.save_for_backward(x)
        ctx.bound = bound
        return x.clamp_min(bound)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None]:
        (x,) = ctx.saved_tensors
        passes = (x >= ctx.bound) | (gradient < 0)
        return gradient * passes, None


def lower_bound(x: Tensor, bound: float) -> Tensor:
    """Elementwise max(x, bound), trainable from below the bound."""
    return _LowerBound.apply(x, bound)


class ChannelNorm(nn.Module):
    """Normalise every pixel over its channels (Mentzer et al. 2020, section 4.1).

    The variance is the unbiased one (N - 1) and epsilon sits inside the root. The statistics are per pixel, so
    the layer works on any tile. Two spellings of one formula: the fused layer norm while training, and otherwise an
    explicit one, whose channel means are 1x1 convolutions because channel reductions are slow on engines.
    """

    def __init__(self, channels: int, epsilon: float = 1e-3) -> None:
        super().__init__()
        self.epsilon = epsilon
        self.gamma = nn.Parameter(torch.ones(1, channels, 1, 1))
        self.beta = nn.Parameter(torch.zeros(1, channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        channels = x.shape[1]
        unbiased = channels / (channels - 1)
        if not self.training:
            average = x.new_full((1, channels, 1, 1), 1.0 / channels)
            centred = x - F.conv2d(x, average)
            variance = F.conv2d(centred * centred, average * unbiased)
            return centred / torch.sqrt(variance + self.epsilon) * self.gamma + self.beta
        normalised = F.layer_norm(
            x.permute(0, 2, 3, 1),
            (channels,),
            (self.gamma * unbiased**-0.5).flatten(),
            self.beta.flatten(),
            self.epsilon / unbiased,
        )
        return normalised.permute(0, 3, 1, 2)


class GDN(nn.Module):
    """Generalised divisive normalisation and its approximate inverse (Balle et al. 2016, equations 2 and 3).

    The stored parameters are square roots: effective value = max(stored, bound)^2 - 2^-36. It is the stored values
    that network interpolation mixes, so they are what the state dict holds.
    """

    PEDESTAL = 2.0**-36

    def __init__(self, channels: int, inverse: bool = False) -> None:
        super().__init__()
        self.inverse = inverse
        self.beta = nn.Parameter(torch.sqrt(torch.ones(channels) + self.PEDESTAL))
        self.gamma = nn.Parameter(torch.sqrt(0.1 * torch.eye(channels) + self.PEDESTAL))

    def forward(self, x: Tensor) -> Tensor:
        channels = x.shape[1]
        beta = lower_bound(self.beta, math.sqrt(1e-6 + self.PEDESTAL)) ** 2 - self.PEDESTAL
        gamma = lower_bound(self.gamma, math.sqrt(self.PEDESTAL)) ** 2 - self.PEDESTAL
        energy = F.conv2d(x * x, gamma.reshape(channels, channels, 1, 1), beta)
        return x * torch.sqrt(energy) if self.inverse else x / torch.sqrt(energy)


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


def add_uniform_noise(x: Tensor) -> Tensor:
    """x plus noise between -1/2 and 1/2: what stands for rounding where rates are trained (Balle et al. 2017)."""
    return x + torch.empty_like(x).uniform_(-0.5, 0.5)


def round_straight_through(x: Tensor, rounding: Callable[[Tensor], Tensor] = torch.round) -> Tensor:
    """Rounded forward, identity backward. rounding: half to even unless said otherwise."""
    return x + (rounding(x) - x).detach()


def nearest_level(y: Tensor, lowest: int, levels: int) -> Tensor:
    """The nearest of the centres lowest, lowest + 1, ..., lowest + levels - 1; a tie goes to the lower one.

    Counts the midpoints below y, which is exact for every float, and for NaN gives the lowest centre.
    """
    midpoints = [lowest + k + 0.5 for k in range(levels - 1)]
    return sum((y > midpoint).to(y.dtype) for midpoint in midpoints) + lowest


def soft_to_hard(y: Tensor, lowest: int, levels: int) -> tuple[Tensor, Tensor]:
    """Nearest centre forward, soft assignment backward (Mentzer et al. 2018, equations 3 to 5, with sigma = 1).

    Returns the centres, shaped as y, and the soft assignment (*y.shape, levels), which sums to one over its last axis.
    """
    centres = torch.arange(lowest, lowest + levels, dtype=y.dtype, device=y.device)
    assignment = torch.softmax(-((y.unsqueeze(-1) - centres) ** 2), dim=-1)
    soft = (assignment * centres).sum(-1)
    return soft + (nearest_level(y, lowest, levels) - soft).detach(), assignment


def static_code_bits(assignment: Tensor, kept: Tensor) -> Tensor:
    """Bits of a static code per channel: a differentiable stand-in where a paper only bounds its rate.

    assignment: (B, C, h, w, levels) from `soft_to_hard`. kept: (B, 1 or C, h, w), 1 where a symbol is coded at all.
    Each channel pays the entropy of its own mean assignment over the batch.
    """
    weighted = assignment * kept.unsqueeze(-1)
    counts = weighted.sum((0, 2, 3))
    frequencies = counts / counts.sum(-1, keepdim=True).clamp_min(1e-9)
    return -(counts * frequencies.clamp_min(1e-9).log2()).sum()
