"""Where a model computes in float32 although it is trained under autocast.

A latent of 70 in bfloat16 is a multiple of 1/2, and so is the noise that stands for its rounding. The rate then learns
from wrong probabilities: for a trained HiFiC its gradient points elsewhere, at a cosine of 0.6.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn


def without_autocast(x: Tensor) -> AbstractContextManager[object]:
    """A context without autocast on the device of x. Where there is none it does nothing, so that graphs stay plain."""
    return torch.autocast(x.device.type, enabled=False) if _is_under_autocast(x) else nullcontext()


def _is_under_autocast(x: Tensor) -> bool:
    return not x.is_meta and torch.is_autocast_enabled(x.device.type)


def at_least_float32(x: Tensor) -> Tensor:
    """x itself, or in float32 where it has half of that precision."""
    return x.float() if x.dtype in (torch.bfloat16, torch.float16) else x


class EndsInFloat32(nn.Sequential):
    """Layers in a row, of which the last computes in float32 under autocast too, and so does not round its result."""

    def forward(self, x: Tensor) -> Tensor:
        *body, last = self
        for layer in body:
            x = layer(x)
        if _is_under_autocast(x):
            with without_autocast(x):
                result: Tensor = last(x.float())
                return result
        return last(x)
