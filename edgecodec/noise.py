"""Noise for generators, from a seed: the same integers on every machine, so that a file names its picture.

Every value is a sum of twelve uniform 12-bit integers, centred. By the central limit theorem that is close to normal,
with mean 0 and a standard deviation of sqrt(4096^2 - 1): the unit normal in units of 1/4096, and always inside int16.
The uniform integers are the top 48 bits, twelve at a time, of three words of SplitMix64 (Steele, Lea, Flood 2014).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edgecodec.errors import InvalidArgument, OutOfMemory

#: What stands for 1.0.
ONE = 4096

_WORDS = 3  # SplitMix64 outputs a value
_FIELDS = 4  # uniform integers a word
_BITS = 12

_Words = npt.NDArray[np.uint64]
_Noise = npt.NDArray[np.int16]


def normal_noise(seed: int, channels: int, height: int, width: int) -> _Noise:
    """(channels, height, width) normal values in units of 1/4096, within -24570..24570.

    Value i in row-major order uses words 3i, 3i + 1 and 3i + 2 of the sequence whose state starts at mix(seed).
    seed: 0 to 2^64 - 1; InvalidArgument otherwise. Raises OutOfMemory.
    """
    if not 0 <= seed < 1 << 64:
        raise InvalidArgument(f"a noise seed is 0 to 2^64 - 1, not {seed}")
    try:
        return _values(seed, channels * height * width).reshape(channels, height, width)
    except MemoryError as error:
        raise OutOfMemory(f"no memory for noise of {channels}x{height}x{width} values") from error


def _values(seed: int, count: int) -> _Noise:
    """(count,)"""
    steps = np.arange(1, _WORDS * count + 1, dtype=np.uint64)
    words = _mix(_mix(np.array([seed], np.uint64)) + steps * np.uint64(0x9E3779B97F4A7C15))
    total = np.zeros(words.shape, np.int32)
    for field in range(1, _FIELDS + 1):
        total += (words >> np.uint64(64 - _BITS * field)).astype(np.int32) & (ONE - 1)
    centred = total.reshape(count, _WORDS).sum(1) - _WORDS * _FIELDS * (ONE - 1) // 2
    noise: _Noise = centred.astype(np.int16)
    return noise


def _mix(words: _Words) -> _Words:
    """The finaliser of SplitMix64. Arithmetic is modulo 2^64, as NumPy's is for arrays."""
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    words = words ^ (words >> np.uint64(31))
    return words
