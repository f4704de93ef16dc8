"""Noise for generators, from a seed, one value after another in whole Python integers.

Every value is a sum of twelve uniform 12-bit integers, centred. These are the top 48 bits, twelve at a time, of three
words of SplitMix64 (Steele, Lea, Flood 2014).
"""

from __future__ import annotations

_MODULUS = 1 << 64


def _finalise(word: int) -> int:
    word = (word ^ (word >> 30)) * 0xBF58476D1CE4E5B9 % _MODULUS
    word = (word ^ (word >> 27)) * 0x94D049BB133111EB % _MODULUS
    return word ^ (word >> 31)


def normal_noise(seed: int, count: int) -> list[int]:
    """Value i uses words 3i, 3i + 1 and 3i + 2 of the sequence whose state starts at mix(seed)."""
    state, values = _finalise(seed), []
    for _ in range(count):
        total = 0
        for _ in range(3):
            state = (state + 0x9E3779B97F4A7C15) % _MODULUS
            word = _finalise(state)
            total += sum((word >> shift) % 4096 for shift in (52, 40, 28, 16))
        values.append(total - 24570)
    return values
