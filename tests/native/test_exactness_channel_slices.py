"""Residuals of channel slices: the encoder's symbols, the payload and the refined latents are the reference's."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecodec.entropy_model import EntropyModel, LatentSpec
from edgecodec.errors import BadModel, Corrupt, LatentsDiffer, OutOfRange
from support import reference_entropy_model as reference
from support.exactness import assert_exact
from support.random_models import ALIGNMENT, Builder, Random, carrying_tables, drawn_latents, random_latents
from support.reference_coder import Table
from support.reference_entropy_model import (
    Add,
    Affine,
    Apply,
    Code,
    Model,
    Residual,
    Step,
    Tensor,
    Tensors,
    model_bytes,
)
from support.reference_integer_net import Index, Layer, Net

LANES = [0, 2, 8, 32, 64]


def slices_model(generator: Random, slices: int) -> Model:
    builder = Builder(generator)
    builder.channel_slices(slices)
    return builder.model()


def sides() -> st.SearchStrategy[int]:
    return st.integers(1, 3 * ALIGNMENT)


@settings(max_examples=60)
@given(st.integers(0, 2**32), st.integers(2, 4), sides(), sides(), st.sampled_from(LANES), st.booleans())
def test_random_models_are_exact(seed: int, slices: int, width: int, height: int, lanes: int, as_likely: bool) -> None:
    generator = np.random.default_rng(seed)
    model = slices_model(generator, slices)
    draw = drawn_latents if as_likely else random_latents
    assert_exact(model, draw(model, generator, width, height), width, height, lanes)


def test_an_encoder_is_handed_the_target_and_a_decoder_gives_what_is_joined() -> None:
    model = slices_model(np.random.default_rng(2), 3)
    opened = EntropyModel(model_bytes(model))
    (target,) = {step.target for step in model.steps if isinstance(step, Residual)}
    assert [latent.name for latent in opened.encoder_latents] == ["t0", target]
    joined = model.tensors[-1]
    assert opened.decoder_latents[-1] == LatentSpec(joined.name, joined.channels, joined.stride)
    assert target not in {latent.name for latent in opened.decoder_latents}


def test_the_random_models_have_many_tables_means_and_symbols() -> None:
    """Where they hardly vary, a wrong one is not seen."""
    counts = []
    for seed in range(10):
        generator = np.random.default_rng(seed)
        model = slices_model(generator, 3)
        known = reference.run(model, drawn_latents(model, generator, 48, 48))
        slices = [step for step in model.steps if isinstance(step, Residual)]
        counts += [[len(np.unique(known[name])) for name in (each.indices, each.mean, each.tensor)] for each in slices]
    assert (np.median(counts, axis=0) > 7).all()


# A model of one slice, spelled out: the mean is the hyperlatent doubled, the table index whether it is positive.
Z, FIXED, INDEX, SYMBOLS, MEAN, REFINED, TARGET = TENSORS = [
    Tensor("z", 2, 8),
    Tensor("fixed", 2, 8),
    Tensor("index", 2, 8, indices=True),
    Tensor("symbols", 2, 8),
    Tensor("mean", 2, 8),
    Tensor("refined", 2, 8, decoder_latent=True),
    Tensor("target", 3, 8),
]
SIGN = Layer(
    False, 1, 0, 0, 1, np.zeros(2, np.int64), np.eye(2, dtype=np.int64)[:, None, None, :], Index(np.array([[1], [1]]))
)
RESIDUAL = Residual("symbols", 1, "index", "target", 1, "mean", 4)
FIX = Affine("fixed", "z", 0, np.zeros(2, np.int64), -100, 100)
SUM = Add("refined", "symbols", "mean", 32, 2, 1, -(2**15), 2**15 - 1)
STEPS: list[Step] = [
    Code("z", 0),
    FIX,
    Apply("index", "fixed", 0),
    Affine("mean", "z", 1, np.zeros(2, np.int64), -(2**15), 2**15 - 1),
    RESIDUAL,
    SUM,
]
TABLES = carrying_tables(np.random.default_rng(1), 2)
MODEL = Model(8, TENSORS, [TABLES, TABLES], [Net(-100, 100, [SIGN])], STEPS)


def latents(z: int, target: int) -> Tensors:
    return {"z": np.full((2, 2, 3), z), "target": np.full((3, 2, 3), target)}


@pytest.mark.parametrize("fraction", [0, 1, 4, 13, 14])
@pytest.mark.parametrize("z", [-(2**15), -1, 0, 1, 2**15 - 1])
def test_residuals_are_rounded_and_held_to_16_bits_at_the_extremes(fraction: int, z: int) -> None:
    """Target less mean goes beyond 16 bits; ties go up."""
    steps = [replace(RESIDUAL, fraction=fraction) if step is RESIDUAL else step for step in STEPS]
    half = (1 << fraction) >> 1
    for target in {-(2**15), -(2**15) + 1, -half - 1, -half, -half + 1, 0, half - 1, half, half + 1, 2**15 - 1}:
        if -(2**15) <= target <= 2**15 - 1:
            assert_exact(replace(MODEL, steps=steps), latents(z, target), 24, 16)


def test_several_latents_are_the_targets_of_several_slices() -> None:
    """Named a second time, a target is not handed a second time; spare channels are not looked at."""
    tensors = [*TENSORS, Tensor("more", 2, 8, decoder_latent=True), Tensor("again", 2, 8, decoder_latent=True)]
    tensors.append(Tensor("other", 2, 8))
    more = replace(RESIDUAL, tensor="more", target="other", first_channel=0)
    model = replace(MODEL, tensors=tensors, steps=[*STEPS, more, replace(RESIDUAL, tensor="again", first_channel=0)])
    assert reference.encoder_latents(model) == ["z", "target", "other"]
    assert [latent.name for latent in EntropyModel(model_bytes(model)).encoder_latents] == ["z", "target", "other"]
    assert_exact(model, latents(3, 1000) | {"other": np.full((2, 2, 3), -77)}, 24, 16)


def test_a_residual_that_no_table_carries_is_refused() -> None:
    model = replace(MODEL, table_sets=[TABLES, [Table((16383, 1))] * 2])
    steps = [replace(RESIDUAL, fraction=0) if step is RESIDUAL else step for step in STEPS]
    narrow = {name: values.astype(np.int16) for name, values in latents(0, -(2**15)).items()}
    with pytest.raises(OutOfRange):
        EntropyModel(model_bytes(replace(model, steps=steps))).encode(narrow, width=24, height=16)
    assert_exact(model, latents(0, -(2**15)), 24, 16)


def refused(model: Model) -> None:
    with pytest.raises(BadModel) as caught:
        EntropyModel(model_bytes(model))
    assert caught.value.offset is not None and 0 <= caught.value.offset <= len(model_bytes(model))


def with_residual(**changes: Any) -> Model:
    return replace(MODEL, steps=[replace(RESIDUAL, **changes) if step is RESIDUAL else step for step in STEPS])


def with_tensor(old: Tensor, new: Tensor) -> Model:
    return replace(MODEL, tensors=[new if tensor is old else tensor for tensor in TENSORS])


@pytest.mark.parametrize(
    "model",
    [
        with_residual(fraction=15),
        with_residual(fraction=255),
        with_residual(first_channel=2),
        with_residual(first_channel=65535),
        with_residual(table_set=2),
        with_residual(indices="mean"),
        with_residual(indices="symbols"),
        with_residual(mean="index"),
        with_residual(mean="refined"),  # which a later step defines
        with_residual(mean="target"),
        with_residual(mean="symbols"),
        with_residual(target="index"),
        with_residual(target="z"),  # which a step defines
        with_residual(target="refined", first_channel=0),
        with_residual(target="symbols", first_channel=0),
        with_residual(tensor="target"),
        with_residual(tensor="z"),
        with_tensor(TARGET, replace(TARGET, stride=4)),
        with_tensor(TARGET, replace(TARGET, channels=2)),
        with_tensor(TARGET, replace(TARGET, indices=True)),
        with_tensor(TARGET, replace(TARGET, decoder_latent=True)),
        with_tensor(INDEX, replace(INDEX, decoder_latent=True)),
        with_tensor(REFINED, replace(REFINED, decoder_latent=False)),  # no decoder latent at all
        with_tensor(SYMBOLS, replace(SYMBOLS, channels=1)),
        with_tensor(SYMBOLS, replace(SYMBOLS, stride=4)),
        replace(MODEL, table_sets=[TABLES, TABLES[:1]]),
        replace(MODEL, steps=[*STEPS, Affine("target", "z", 0, np.zeros(3, np.int64), 0, 1)]),
        replace(MODEL, steps=[*STEPS[:4], replace(SUM, first="target"), RESIDUAL]),
    ],
)
def test_a_broken_rule_is_refused(model: Model) -> None:
    refused(model)


def test_an_index_tensor_must_be_named() -> None:
    data = model_bytes(MODEL)
    step = b"\5" + b"".join(number.to_bytes(2, "little") for number in (3, 1, 2, 6, 1, 4)) + b"\4"
    assert data.count(step) == 1
    by_channel = step[:5] + b"\xff\xff" + step[7:]
    with pytest.raises(BadModel):
        EntropyModel(data.replace(step, by_channel))


def test_no_damage_gives_other_latents_unnoticed() -> None:
    generator = np.random.default_rng(5)
    model = slices_model(generator, 3)
    opened = EntropyModel(model_bytes(model))
    drawn = drawn_latents(model, generator, 30, 30)
    narrow = {name: values.astype(np.int16) for name, values in drawn.items()}
    payload, lanes = opened.encode(narrow, width=30, height=30)
    known = reference.run(model, drawn)
    refusals = 0
    for bit in range(8 * len(payload)):
        damaged = bytearray(payload)
        damaged[bit // 8] ^= 1 << bit % 8
        try:
            decoded = opened.decode(damaged, width=30, height=30, lanes=lanes)
        except (Corrupt, LatentsDiffer):
            refusals += 1
        else:
            assert all(np.array_equal(values, known[name]) for name, values in decoded.items())
    assert refusals > 3 * len(payload)
