"""Random numbers with the same bits on every machine, for stand-in weights and a test picture.

Every number is splitmix64 (Steele, Lea, Flood 2014) of a counter, seeded by the SHA-256 of a name. The vectors in
tests/data/vectors were computed by public implementations with weights made of these.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]


def splitmix64(name: str, count: int) -> npt.NDArray[np.uint64]:
    """The first `count` outputs of the generator that `name` seeds."""
    state = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    state += np.frombuffer(hashlib.sha256(name.encode()).digest()[:8], "<u8")
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        state ^= state >> np.uint64(shift)
        state *= np.uint64(factor)
    return state ^ (state >> np.uint64(31))


def top_bits(name: str, count: int) -> npt.NDArray[np.int64]:
    """The top 24 bits of each output."""
    return (splitmix64(name, count) >> np.uint64(40)).astype(np.int64)


def centred(bits: npt.NDArray[np.int64]) -> Floats:
    """24 bits as odd multiples of 2^-24 between -1 and 1, exactly."""
    return (2 * bits + 1 - (1 << 24)).astype(np.float32) * np.float32(2.0**-24)


def uniform(name: str, shape: Sequence[int]) -> Floats:
    """Odd multiples of 2^-24 between -1 and 1."""
    return centred(top_bits(name, math.prod(shape))).reshape(shape)


def picture(height: int, width: int) -> npt.NDArray[np.uint8]:
    """A test picture (height, width, 3): ramps, stripes, twelve soft discs and noise, in integer arithmetic."""
    rows, columns = np.mgrid[:height, :width].astype(np.int64)
    phase = (columns + 2 * rows) % 74
    stripes = 255 * np.minimum(phase, 74 - phase) // 37
    image = np.stack([255 * columns // (width - 1), 255 * rows // (height - 1), stripes], -1)
    for disc in splitmix64("discs", 72).reshape(12, 6):
        x, y, radius, *colour = (int(number) for number in disc)
        squared = (10 + radius % 50) ** 2
        weight = np.maximum(squared - (columns - x % width) ** 2 - (rows - y % height) ** 2, 0)[..., None]
        image = image + (np.array([channel % 256 for channel in colour]) - image) * weight // squared
    noise = top_bits("noise", image.size).reshape(image.shape) % 17 - 8
    return np.clip(image + noise, 0, 255).astype(np.uint8)
