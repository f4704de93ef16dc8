"""How close a decoder in another precision comes to the one in single precision, and to the originals."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import numpy as np

from edgecodec.description import Closeness
from edgecodec.errors import VerificationFailed
from edgecodec_export.calibration import Picture
from edgecodec_export.graphs.sample_latents import SampleLatents
from edgecodec_export.precisions import Precision

EQUAL_DB = 200.0  # of pictures without any difference

#: From decoder latents to a picture, (H, W, 3) bytes.
Decode = Callable[[SampleLatents], Picture]


def closeness(precision: Precision, single: Decode, found: Decode, samples: Iterable[SampleLatents]) -> Closeness:
    """Of decoders in single precision and in `precision`.

    Raises VerificationFailed where a bound of the precision is missed, and what the decoders raise.
    """
    between, losses = [], []
    for sample in samples:
        expected, picture = single(sample), found(sample)
        between.append(_psnr(picture, expected))
        losses.append(_psnr(expected, sample.picture) - _psnr(picture, sample.picture))
    measured = Closeness(round(min(between), 2), round(sum(losses) / len(losses), 4), round(max(losses), 4))
    if measured.psnr < precision.LEAST_DB:
        raise VerificationFailed(
            f"is {measured.psnr:.1f} dB from fp32 on a photograph, less than {precision.LEAST_DB:g}"
        )
    if measured.mean_loss > precision.LARGEST_MEAN_LOSS:
        raise VerificationFailed(
            f"loses {measured.mean_loss:.2f} dB on photographs, more than {precision.LARGEST_MEAN_LOSS:g}"
        )
    if measured.largest_loss > precision.LARGEST_LOSS:
        raise VerificationFailed(
            f"loses {measured.largest_loss:.2f} dB on a photograph, more than {precision.LARGEST_LOSS:g}"
        )
    return measured


def _psnr(one: Picture, other: Picture) -> float:
    squares = np.square(one.astype(np.float64) - other).mean()
    return EQUAL_DB if squares == 0 else 20 * math.log10(255) - 10 * math.log10(squares)
