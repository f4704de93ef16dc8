"""How far a decode is from the original."""

from __future__ import annotations

import math
from importlib.util import find_spec

import numpy as np

from edgecodec.picture import Pixels

_SMALLEST_SIDE = 161  # pixels that five scales of windows of 11x11 take (Wang et al. 2003)


def psnr(original: Pixels, other: Pixels) -> float:
    """Peak signal-to-noise ratio in dB over all samples, of a peak of 255; infinite for equal pixels.

    Either may be uint8 (height, width, 3) or, when greyscale, (height, width), of one height and width.
    """
    difference = _colours(original).astype(np.int32) - _colours(other)
    squared_error = float(np.mean(np.square(difference), dtype=np.float64))
    return 10 * math.log10(255**2 / squared_error) if squared_error else math.inf


def ms_ssim(original: Pixels, other: Pixels) -> float | None:
    """Multi-scale structural similarity (Wang et al. 2003), the mean of the channels. Pixels as for `psnr`.

    None without torch and pytorch-msssim, and for pictures that are too small.
    """
    if min(original.shape[:2]) < _SMALLEST_SIDE or not (find_spec("torch") and find_spec("pytorch_msssim")):
        return None
    import torch
    from pytorch_msssim import ms_ssim as score

    first, second = (
        torch.from_numpy(np.ascontiguousarray(_colours(each).transpose(2, 0, 1))).float()[None]
        for each in (original, other)
    )
    return float(score(first, second, data_range=255))


def _colours(pixels: Pixels) -> Pixels:
    """(height, width, 3) of either."""
    return pixels if pixels.ndim == 3 else np.repeat(pixels[:, :, None], 3, axis=2)
