"""The fixed point in which a latent that is not rounded yet crosses to the entropy coder."""

from __future__ import annotations

import torch
from torch import Tensor

LATENT_UNIT = 1 / 64  # what the integer 1 stands for
LATENT_LIMIT = 32767  # largest magnitude of an integer


def fixed_point(y: Tensor) -> Tensor:
    """Integers of unit LATENT_UNIT, rounded half to even and clipped to LATENT_LIMIT."""
    return torch.round(y / LATENT_UNIT).clamp(-LATENT_LIMIT, LATENT_LIMIT)
