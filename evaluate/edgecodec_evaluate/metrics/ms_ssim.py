"""Multi-scale structural similarity (Wang, Simoncelli, Bovik 2003)."""

from __future__ import annotations

from statistics import fmean

import numpy as np
import torch
from pytorch_msssim import ms_ssim as of_tensors
from torch import Tensor

from edgecodec.picture import Pixels

#: Pixels, the smallest side that has five scales under a window of 11.
SMALLEST_SIDE = 161


def ms_ssim(original: Pixels, rebuilt: Pixels) -> float | None:
    """Mean of the three channels, 1 for equal pictures; None where a side is below SMALLEST_SIDE.

    Variances are small differences of large numbers, so they are computed in double precision.
    """
    if min(original.shape[:2]) < SMALLEST_SIDE:
        return None
    with torch.inference_mode():  # one channel after the other, which takes a third of the memory
        return fmean(
            float(of_tensors(_plane(original, channel), _plane(rebuilt, channel), data_range=255.0))
            for channel in range(original.shape[2])
        )


def _plane(pixels: Pixels, channel: int) -> Tensor:
    """(1, 1, height, width)"""
    return torch.from_numpy(pixels[None, None, ..., channel].astype(np.float64))
