"""Multi-scale structural similarity (Wang, Simoncelli, Bovik 2003)."""

from __future__ import annotations

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
    with torch.inference_mode():
        return float(of_tensors(_tensor(original), _tensor(rebuilt), data_range=255.0))


def _tensor(pixels: Pixels) -> Tensor:
    """(1, 3, height, width)"""
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1))[None].astype(np.float64))
