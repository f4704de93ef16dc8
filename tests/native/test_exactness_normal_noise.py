"""The noise a file names by its seed: the same integers everywhere, and close enough to normal."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support import native_runtime
from support.reference_runtime import noise

ONE = 4096
LARGEST_SEED = (1 << 64) - 1


@settings(max_examples=60)
@given(st.integers(0, LARGEST_SEED), st.integers(0, 100))
def test_noise_is_its_definition(seed: int, count: int) -> None:
    assert native_runtime.normal_noise(seed, count) == noise.normal_noise(seed, count)


@pytest.mark.parametrize("seed", [0, 1, LARGEST_SEED])
def test_noise_is_close_to_normal(seed: int) -> None:
    values = np.array(native_runtime.normal_noise(seed, 1 << 18), np.float64) / ONE
    assert abs(values.mean()) < 0.01
    assert values.std() == pytest.approx(1, abs=0.01)
    for bound in (-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0):
        assert (values < bound).mean() == pytest.approx(0.5 * math.erfc(-bound / math.sqrt(2)), abs=0.006)
    assert abs(np.corrcoef(values[:-1], values[1:])[0, 1]) < 0.01


def test_seeds_next_to_each_other_share_nothing() -> None:
    first, second = (np.array(native_runtime.normal_noise(seed, 1 << 14), np.float64) for seed in (5, 6))
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.03
    assert abs(np.corrcoef(first[1:], second[:-1])[0, 1]) < 0.03
