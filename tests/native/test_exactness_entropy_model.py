"""The steps between coded tensors give the same integers on every kernel and thread: those of the plain reference."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.exactness import assert_exact
from support.random_models import Builder, carrying_tables, random_latents
from support.reference_entropy_model import Add, Affine, Code, Model, Step, Tensor

TABLES = carrying_tables(np.random.default_rng(1), 4)


@st.composite
def models(draw: st.DrawFn) -> Model:
    """Two coded tensors with a few random steps between, each of which may read anything before it."""
    builder = Builder(np.random.default_rng(draw(st.integers(0, 2**32))))
    builder.code_by_channel(draw(st.integers(1, 5)), draw(st.sampled_from([4, 8, 16])))
    for kind in draw(st.lists(st.sampled_from(["affine", "net", "net", "concat", "sum"]), min_size=1, max_size=7)):
        source = draw(st.sampled_from(builder.values))
        stride, channels = source.tensor.stride, source.tensor.channels
        beside = [other for other in builder.values if other.tensor.stride == stride and other.tensor.channels <= 20]
        alike = [other for other in beside if other.tensor.channels == channels]
        if kind == "affine":
            builder.affine(source)
        elif kind == "concat":
            builder.concat([source, *draw(st.lists(st.sampled_from(beside or [source]), max_size=3))])
        elif kind == "sum":
            builder.sum(source, draw(st.sampled_from(alike or [source])))
        else:
            shapes = ["same", *(["up", "shuffle", "crop"] if stride > 4 else []), *(["down"] if stride < 16 else [])]
            builder.apply(source, draw(st.sampled_from(shapes)), draw(st.integers(1, 6)))
    thresholds = draw(st.integers(1, 70))
    indices = builder.indices(draw(st.sampled_from(builder.values)), draw(st.integers(1, 4)), thresholds)
    builder.code_by_index(indices, thresholds + 1)
    if draw(st.booleans()):  # a slice that reads what the slice before it decoded
        builder.concat([builder.values[-1], builder.values[-1]])
        builder.affine(builder.values[-1])
        builder.code_by_index(builder.indices(builder.values[-1], 2, 5), 6)
    return builder.model()


@settings(max_examples=120)
@given(models(), st.integers(0, 2**32), st.integers(1, 50), st.integers(1, 50))
def test_random_models_are_exact(model: Model, seed: int, width: int, height: int) -> None:
    assert_exact(model, random_latents(model, np.random.default_rng(seed), width, height), width, height)


@pytest.mark.parametrize("shift", [1, 2, 7, 30, 31, 32, 46, 62])
def test_sums_round_alike_at_every_shift(shift: int) -> None:
    """Operands of 16 bits that end up around 0..255, ties among them, with multipliers of either sign and any size."""
    generator = np.random.default_rng(shift)
    ends = generator.integers(-(2**15), 2**15, (2, 1, 20, 30))
    ends[0, 0, :2, 0], ends[1, 0, :2, :2] = [-(2**15), 2**15 - 1], [-(2**15), 2**15 - 1]
    tensors = [Tensor("a", 1, 1), Tensor("b", 1, 1), Tensor("sum", 1, 1, decoder_latent=True)]
    unit = min(2**31 - 1, 2**shift)
    for first, second in ((unit // 256, unit // 200), (-unit // 300, unit // 2**9), (1, -1), (-(2**31), 2**31 - 1)):
        steps: list[Step] = [Code("a", 0), Code("b", 0), Add("sum", "a", "b", first, second, shift, -300, 255)]
        model = Model(1, tensors, [TABLES[:1]], [], steps)
        assert_exact(model, dict(zip("ab", ends, strict=True)), 30, 20)


@pytest.mark.parametrize("shift", [0, 1, 14])
def test_offsets_and_shifts_are_exact_beyond_32_bits(shift: int) -> None:
    values = np.arange(-(2**15), 2**15, 97)[:660].reshape(1, 22, 30).repeat(4, axis=0)
    offsets = np.array([-(2**31), 2**31 - 1, 128, (-5 << shift) + 60])
    tensors = [Tensor("a", 4, 1), Tensor("fixed", 4, 1, decoder_latent=True)]
    steps: list[Step] = [Code("a", 0), Affine("fixed", "a", shift, offsets, -(2**15), 2**15 - 1)]
    assert_exact(Model(1, tensors, [TABLES[:4]], [], steps), {"a": values}, 30, 22)
