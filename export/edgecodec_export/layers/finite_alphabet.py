"""Quantisation to a few integers: the nearest of them forward, a soft assignment backward."""

from __future__ import annotations

import torch
from torch import Tensor


def nearest_level(y: Tensor, lowest: int, levels: int) -> Tensor:
    """The nearest of the centres lowest, lowest + 1, ..., lowest + levels - 1; a tie goes to the lower one.

    Counts the midpoints below y, which is exact for every float, and for NaN gives the lowest centre.
    """
    midpoints = [lowest + k + 0.5 for k in range(levels - 1)]
    return sum((y > midpoint).to(y.dtype) for midpoint in midpoints) + lowest  # type: ignore[return-value]


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
