"""Synthetic residuals of a learned codec, with frozen tables of 64 Gaussian scales, for tests and benchmarks.

Index maps are channel energy + smooth texture shared by the channels + smooth texture of the channel + noise; a symbol
is a Gaussian sample of its scale, rounded, so that the ideal size is known exactly.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import numpy.typing as npt

from support.reference_coder import Table, unzigzag

SCALES = np.exp(np.linspace(math.log(0.11), math.log(256.0), 64))

#: Scales above this one are coded in steps of 2, 4, ... with the rest in raw bits.
_LARGEST_RANKED_SCALE = 6.0


def _probability(scale: float, low: float, high: float) -> float:
    """The probability of [low, high] under a zero-mean Gaussian, computed in the nearer tail for precision."""
    if low > 0:
        low, high = -high, -low
    return 0.5 * (math.erfc(-high / scale / math.sqrt(2)) - math.erfc(-low / scale / math.sqrt(2)))


def quantise(probabilities: list[float]) -> tuple[int, ...]:
    """Frequencies of at least 1 that sum to 16384; the likeliest rank takes the rounding."""
    total = sum(probabilities)
    frequencies = [max(1, round(p / total * 16384)) for p in probabilities]
    frequencies[frequencies.index(max(frequencies))] += 16384 - sum(frequencies)
    return tuple(frequencies)


@cache
def gaussian_tables() -> tuple[Table, ...]:
    tables = []
    for scale in SCALES:
        raw_bits = max(0, math.ceil(math.log2(scale / _LARGEST_RANKED_SCALE)))
        width, half = 1 << raw_bits, (1 << raw_bits) // 2
        ranked: list[float] = []
        for rank in range(63):
            low = unzigzag(rank) * width - half - 0.5
            probability = _probability(scale, low, low + width)
            if rank > 2 and rank % 2 and probability * 16384 < 0.35:
                break
            ranked.append(probability)
        tables.append(Table(quantise([*ranked, max(1 - sum(ranked), 1e-7)]), raw_bits=raw_bits))
    return tuple(tables)


def _smooth(random: np.random.Generator, rows: int, columns: int) -> npt.NDArray[np.float64]:
    """A field of zero mean and unit variance whose features are about 6 samples wide."""
    y, x = np.meshgrid(np.fft.fftfreq(rows), np.fft.fftfreq(columns), indexing="ij")
    spectrum = np.fft.fft2(random.standard_normal((rows, columns))) * np.exp(
        -((x**2 + y**2) * (2 * math.pi * 2.5) ** 2) / 2
    )
    field = np.fft.ifft2(spectrum).real
    return np.asarray((field - field.mean()) / field.std())


def residuals(
    channels: int, rows: int, columns: int, energy: float, seed: int = 1
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int16]]:
    """Table indices and symbols, flat in channel, row, column order. energy: the middle index of a middle channel."""
    random = np.random.default_rng(seed)
    texture = _smooth(random, rows, columns)
    index = np.empty((channels, rows, columns))
    for channel in range(channels):
        middle = energy + 22 * (0.5 - channel / channels)
        noise = random.standard_normal((rows, columns))
        index[channel] = middle + 6 * texture + 3 * _smooth(random, rows, columns) + 0.7 * noise
    indices = np.clip(np.rint(index), 0, 63).astype(np.uint8).ravel()
    symbols = np.rint(random.standard_normal(indices.size) * SCALES[indices])
    return indices, np.clip(symbols, -32767, 32767).astype(np.int16)


def ideal_bits(indices: npt.NDArray[np.uint8], symbols: npt.NDArray[np.int16]) -> float:
    """Bits of information of the symbols under the exact Gaussians that made them."""
    pairs, counts = np.unique(indices.astype(np.int64) << 16 | np.abs(symbols.astype(np.int64)), return_counts=True)
    bits = 0.0
    for pair, count in zip(pairs.tolist(), counts.tolist(), strict=True):
        size = pair & 65535
        bits -= count * math.log2(_probability(float(SCALES[pair >> 16]), size - 0.5, size + 0.5))
    return bits
