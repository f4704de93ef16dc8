"""Residual units and attention of ELIC (He et al. 2022), which CRDR took over.

Both are residual streams whose branches begin and end with 1x1 convolutions, so that an affine map of the channels can
be moved from behind them to before them (`edgecodec_export.baking.affine`).
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

UNITS_PER_BLOCK = 3


class ResidualUnit(nn.Module):
    """1x1 into a bottleneck, 3x3 inside it, 1x1 out of it, rectified between, plus the identity."""

    def __init__(self, channels: int, bottleneck: int) -> None:
        super().__init__()
        self.enter = nn.Conv2d(channels, bottleneck, 1)
        self.inside = nn.Conv2d(bottleneck, bottleneck, 3, padding=1)
        self.leave = nn.Conv2d(bottleneck, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        update: Tensor = self.leave(F.relu(self.inside(F.relu(self.enter(x)))))
        return x + update


class AttentionBlock(nn.Module):
    """x + trunk(x) * sigmoid(mask(x)): the attention of ELIC, whose residual units do not rectify their sums.

    The public code of CRDR calls it NLAM; it has no non-local part.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.trunk = nn.Sequential(*(ResidualUnit(channels, channels // 2) for _ in range(UNITS_PER_BLOCK)))
        self.mask = nn.Sequential(
            *(ResidualUnit(channels, channels // 2) for _ in range(UNITS_PER_BLOCK)), nn.Conv2d(channels, channels, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.trunk(x) * torch.sigmoid(self.mask(x))

    def units(self) -> Iterator[ResidualUnit]:
        """The residual units of both branches."""
        return (unit for unit in self.modules() if isinstance(unit, ResidualUnit))

    @property
    def last_unit(self) -> ResidualUnit:
        """The one at the end of the trunk."""
        unit = self.trunk[-1]
        assert isinstance(unit, ResidualUnit)
        return unit

    @property
    def projection(self) -> nn.Conv2d:
        """The 1x1 convolution at the end of the mask."""
        convolution = self.mask[-1]
        assert isinstance(convolution, nn.Conv2d)
        return convolution
