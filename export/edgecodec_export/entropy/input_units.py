"""Per-channel input scales for networks that share an input and have weights of one byte.

The unit of an input becomes part of the weights. If channels of large and of small values both had the full range of
integers, their weights would lie as far apart as the values do, which one byte cannot represent. So units are chosen
that bring the weights of all channels to one size instead (cross-layer equalisation, Nagel et al. 2019, section 4.1).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from torch import Tensor, nn

FloatArray = npt.NDArray[np.float64]

NEGLIGIBLE = 1e-12  # less than any channel that matters, in place of 0


@dataclass(frozen=True)
class Statistics:
    """(C,) largest magnitudes and (C,) mean squares of the values of a tensor, by channel."""

    peaks: FloatArray
    powers: FloatArray

    @staticmethod
    def of(samples: Iterable[Tensor]) -> Statistics:
        """samples: (1, C, h, w) each."""
        both = [(x.abs().amax((0, 2, 3)).double(), x.double().square().mean((0, 2, 3))) for x in samples]
        peaks, powers = (np.stack([each.numpy() for each in values]) for values in zip(*both, strict=True))
        return Statistics(peaks.max(0), powers.mean(0))


@dataclass(frozen=True)
class Consumer:
    """A convolution, and the names of the tensors whose channels, one after the other, are its input."""

    convolution: nn.Conv2d
    inputs: Sequence[str]


def balanced_units(
    tensors: Mapping[str, Statistics], consumers: Sequence[Consumer], reach: float
) -> dict[str, FloatArray]:
    """(C,) real values of the integer 1 of each tensor; no value in the statistics exceeds the integer `reach`."""
    weights = {name: np.full(len(each.peaks), NEGLIGIBLE) for name, each in tensors.items()}
    for consumer in consumers:
        kernels = consumer.convolution.weight.detach().double()
        powers = np.concatenate([tensors[name].powers for name in consumer.inputs])
        # Relative to the magnitude of each output channel, because outputs have scales of their own.
        # No matrix product, which NumPy would share among threads.
        magnitudes = np.sqrt((kernels.square().sum((2, 3)).numpy() * powers).sum(1)) + NEGLIGIBLE
        largest = (kernels.abs().amax((2, 3)).numpy() / magnitudes[:, None]).max(0)
        ends = np.cumsum([len(weights[name]) for name in consumer.inputs])
        for name, shares in zip(consumer.inputs, np.split(largest, ends[:-1]), strict=True):
            weights[name] = np.maximum(weights[name], shares)
    peak = max(float((tensors[name].peaks * shares).max()) for name, shares in weights.items())
    return {name: max(peak, NEGLIGIBLE) / reach / shares for name, shares in weights.items()}
