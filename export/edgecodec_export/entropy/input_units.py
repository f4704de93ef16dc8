"""Units of values that several networks hear, channel by channel, when their weights have one byte.

Weights take in the units of their inputs. Were channels of large and of small values both given the full range of
integers, their weights would lie as far apart as the values do, and one byte has no room for that. So units are chosen
that bring the weights of all channels to one size instead (cross-layer equalisation, Nagel et al. 2019, section 4.1).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from torch import Tensor, nn

FloatArray = npt.NDArray[np.float64]

SILENT = 1e-12  # below what any channel, or share of one, amounts to


@dataclass(frozen=True)
class Statistics:
    """Of the values of a tensor, by channel: (C,) largest magnitudes and (C,) mean squares."""

    peaks: FloatArray
    powers: FloatArray

    @staticmethod
    def of(samples: Iterable[Tensor]) -> Statistics:
        """samples: (1, C, h, w) each."""
        both = [(x.abs().amax((0, 2, 3)).double(), x.double().square().mean((0, 2, 3))) for x in samples]
        peaks, powers = (np.stack([each.numpy() for each in values]) for values in zip(*both, strict=True))
        return Statistics(peaks.max(0), powers.mean(0))


@dataclass(frozen=True)
class Listener:
    """A convolution, and the names of the tensors whose channels it hears one after the other."""

    convolution: nn.Conv2d
    heard: Sequence[str]


def balanced_units(
    tensors: Mapping[str, Statistics], listeners: Sequence[Listener], reach: float
) -> dict[str, FloatArray]:
    """(C,) real values of the 1 of each tensor; no value that was seen exceeds the integer `reach`."""
    weights = {name: np.full(len(each.peaks), SILENT) for name, each in tensors.items()}
    for listener in listeners:
        kernels = listener.convolution.weight.detach().double()
        powers = np.concatenate([tensors[name].powers for name in listener.heard])
        # As a share of all that an output channel hears, because outputs have scales of their own.
        # No matrix product, which NumPy would share among threads.
        loudness = np.sqrt((kernels.square().sum((2, 3)).numpy() * powers).sum(1)) + SILENT
        largest = (kernels.abs().amax((2, 3)).numpy() / loudness[:, None]).max(0)
        ends = np.cumsum([len(weights[name]) for name in listener.heard])
        for name, shares in zip(listener.heard, np.split(largest, ends[:-1]), strict=True):
            weights[name] = np.maximum(weights[name], shares)
    loudest = max(float((tensors[name].peaks * shares).max()) for name, shares in weights.items())
    return {name: max(loudest, SILENT) / reach / shares for name, shares in weights.items()}
