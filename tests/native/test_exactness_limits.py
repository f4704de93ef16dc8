"""Limits are exact, and say what to raise; amounts of memory read as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support import native_runtime
from support.native_runtime import outcome
from support.reference_runtime import memory
from support.reference_runtime.limits import Limits

sides = st.integers(1, 65536) | st.sampled_from([65535, 65536, 1 << 20])
limits = st.fixed_dictionaries(
    {},
    optional={
        "max_pixels": st.integers(1, 1 << 33),
        "max_side": st.integers(1, 1 << 17),
        "max_file_bytes": st.integers(1, 1 << 40),
        "max_pixels_per_byte": st.integers(1, 1 << 64),
    },
)


@settings(max_examples=200)
@given(limits, sides, sides, st.integers(0, 1 << 42), st.integers(0, 100))
def test_limits_are_those_of_the_reference(
    chosen: dict[str, int], width: int, height: int, large: int, small: int
) -> None:
    chosen = {name: min(value, (1 << 64) - 1) for name, value in chosen.items()}
    reference = Limits(**chosen)
    for ours, theirs in (
        (lambda: native_runtime.check_size(width, height, **chosen), lambda: reference.check_size(width, height)),
        (lambda: native_runtime.check_bytes(large, **chosen), lambda: reference.check_bytes(large)),
        (
            lambda: native_runtime.check_ratio(width, height, small, **chosen),
            lambda: reference.check_ratio(width, height, small),
        ),
    ):
        assert outcome(ours) == outcome(theirs)


@given(st.integers(1, 1 << 20), st.integers(1, 1 << 10), st.sampled_from([-1, 0, 1]))
def test_a_file_may_have_exactly_so_many_pixels_a_byte(ratio: int, size: int, more: int) -> None:
    pixels = ratio * size + more
    said = outcome(lambda: native_runtime.check_ratio(pixels, 1, size, max_pixels_per_byte=ratio))
    assert (said is None) == (more <= 0)
    assert said == outcome(lambda: Limits(max_pixels_per_byte=ratio).check_ratio(pixels, 1, size))


@settings(max_examples=300)
@given(st.floats(0, 1e30) | st.integers(0, 1 << 50).map(float))
def test_amounts_of_memory_are_rounded_up(amount: float) -> None:
    assert native_runtime.memory_words(amount) == memory.words(amount)


@pytest.mark.parametrize(
    ("amount", "text"),
    [(4 << 30, "4 GB"), ((4 << 30) + 1, "4.1 GB"), (5 << 20, "5 MB"), (1000, "1 KB"), (1, "0.1 KB"), (0, "0 KB")],
)
def test_amounts_of_memory(amount: int, text: str) -> None:
    assert native_runtime.memory_words(amount) == text
