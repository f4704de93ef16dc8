"""The noise a file names by its seed: the same integers everywhere, and close enough to normal."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecodec.errors import InvalidArgument
from edgecodec.noise import ONE, normal_noise

MODULUS = 1 << 64


def _finalise(word: int) -> int:
    word = (word ^ (word >> 30)) * 0xBF58476D1CE4E5B9 % MODULUS
    word = (word ^ (word >> 27)) * 0x94D049BB133111EB % MODULUS
    return word ^ (word >> 31)


def reference(seed: int, count: int) -> list[int]:
    """The definition in whole Python integers, one value after another."""
    state, values = _finalise(seed), []
    for _ in range(count):
        total = 0
        for _ in range(3):
            state = (state + 0x9E3779B97F4A7C15) % MODULUS
            word = _finalise(state)
            total += sum((word >> shift) % 4096 for shift in (52, 40, 28, 16))
        values.append(total - 24570)
    return values


@settings(max_examples=40)
@given(st.integers(0, MODULUS - 1), st.integers(0, 4), st.integers(0, 5), st.integers(0, 5))
def test_noise_is_its_definition(seed: int, channels: int, height: int, width: int) -> None:
    noise = normal_noise(seed, channels, height, width)
    assert noise.shape == (channels, height, width)
    assert noise.dtype == np.int16
    assert noise.flatten().tolist() == reference(seed, channels * height * width)


@pytest.mark.parametrize("seed", [0, 1, MODULUS - 1])
def test_noise_is_close_to_normal(seed: int) -> None:
    values = normal_noise(seed, 4, 256, 256).astype(np.float64).ravel() / ONE
    assert abs(values.mean()) < 0.01
    assert values.std() == pytest.approx(1, abs=0.01)
    for bound in (-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0):
        assert (values < bound).mean() == pytest.approx(0.5 * math.erfc(-bound / math.sqrt(2)), abs=0.006)
    assert abs(np.corrcoef(values[:-1], values[1:])[0, 1]) < 0.01


def test_seeds_next_to_each_other_share_nothing() -> None:
    first, second = (normal_noise(seed, 1, 128, 128).astype(np.float64).ravel() for seed in (5, 6))
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.03
    assert abs(np.corrcoef(first[1:], second[:-1])[0, 1]) < 0.03


@pytest.mark.parametrize("seed", [-1, MODULUS])
def test_a_seed_is_64_bits(seed: int) -> None:
    with pytest.raises(InvalidArgument):
        normal_noise(seed, 1, 1, 1)
