"""Values of finite alphabets in the context of their neighbours: order, tables and limits are the plain reference's."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecodec.entropy_model import EntropyModel
from edgecodec.errors import BadModel, Corrupt, EdgecodecError, LatentsDiffer, OutOfRange
from support import reference_coder, reference_picture
from support import reference_entropy_model as reference
from support.exactness import assert_exact
from support.random_models import ALIGNMENT, Builder, carrying_table, drawn_latents
from support.reference_coder import Bits, Ranked, Refused, Table
from support.reference_entropy_model import Affine, Apply, Code, Context, Model, Tensor, encoder_latents, model_bytes
from support.reference_integer_net import Index, Integers, Layer, Net

LANES = [0, 2, 8, 32, 64]
PARTS = ["plain", "masked", "prefix", "masked prefix", "limited by values", "many symbols", "other"]


@st.composite
def models(draw: st.DrawFn) -> Model:
    """Steps in contexts, of all kinds, one after the other."""
    builder = Builder(np.random.default_rng(draw(st.integers(0, 2**32))))
    for part in draw(st.lists(st.sampled_from(PARTS), min_size=1, max_size=3)):
        channels, ends = draw(st.integers(1, 5)), draw(st.booleans())
        tensor = builder.tensor(channels, ALIGNMENT, latent=True)
        symbols = draw(st.integers(1, 8))
        around_zero = -draw(st.integers(0, symbols - 1))
        if part == "masked":
            limit = builder.mask(ALIGNMENT, channels)
            builder.context(tensor, around_zero, symbols, limit=limit.tensor, ends=ends)
        elif part == "limited by values":
            limit = builder.code_by_channel(1, ALIGNMENT)
            builder.context(tensor, around_zero, symbols, limit=limit.tensor, ends=ends)
        elif part == "many symbols":
            builder.context(tensor, draw(st.sampled_from([-32768, -31, 32704])), 64)
        else:
            lowest = draw(st.sampled_from([-32768, -3, 0, 7, 32704]))
            builder.context(tensor, lowest, symbols)
            if part == "other":
                builder.code_by_channel(2, ALIGNMENT)
            elif part != "plain":
                mask = builder.mask(ALIGNMENT, channels).tensor if part == "masked prefix" else None
                builder.prefix(channels, ALIGNMENT, limit=mask, ends=ends)
    return builder.model()


def sides() -> st.SearchStrategy[int]:
    return st.integers(1, 7 * ALIGNMENT)


@settings(max_examples=150)
@given(models(), st.integers(0, 2**32), sides(), sides(), st.sampled_from(LANES))
def test_random_models_are_exact(model: Model, seed: int, width: int, height: int, lanes: int) -> None:
    assert_exact(model, drawn_latents(model, np.random.default_rng(seed), width, height), width, height, lanes)


@pytest.mark.parametrize("lanes", LANES)
def test_large_pictures_are_exact(lanes: int) -> None:
    """Region mask, prefix lengths and values, of enough symbols for all parts of the ramp."""
    generator = np.random.default_rng(lanes)
    builder = Builder(generator)
    limit = builder.mask(ALIGNMENT, 9)
    builder.prefix(9, ALIGNMENT, limit=limit.tensor, ends=True)
    model = builder.model()
    width, height = 61 * ALIGNMENT, 40 * ALIGNMENT
    assert_exact(model, drawn_latents(model, generator, width, height), width, height, lanes)


# Prefix lengths, and the values they are the lengths of: three channels of -1, 0, 1.

GENERATOR = np.random.default_rng(1)
TABLES = [Table((8000, 4000, 4000, 300, 84), mode, sign) for mode in (-1, 0, 1) for sign in (1, -1)]
MASK, LENGTHS, VALUES = TENSORS = [
    Tensor("mask", 1, 1, decoder_latent=True),
    Tensor("lengths", 1, 1),
    Tensor("values", 3, 1, decoder_latent=True),
]
MASK_STEP = Context("mask", 0, 0, GENERATOR.integers(0, 6, (1, 1, 5, 5)))
LENGTHS_STEP = Context("lengths", 0, 0, GENERATOR.integers(0, 6, (1, 1, 5, 5)), "mask", "values")
VALUES_STEP = Context("values", 0, -1, GENERATOR.integers(0, 6, (2, 3, 4, 4)), "lengths")
STEPS = [MASK_STEP, LENGTHS_STEP, VALUES_STEP]
MODEL = Model(1, TENSORS, [TABLES], [], STEPS)


def latents(**changes: Integers) -> dict[str, Integers]:
    """A mask of ones with a few zeros and a two, and values where it is not 0."""
    mask = np.array([[[1, 0, 1, 2], [1, 1, 3, 0]]])
    values = np.array([1, -1, 1])[:, None, None] * (mask > 0)
    values[2, 0], values[1:, 1, 1], values[:, 1, 2] = 0, 0, 0
    return {"mask": mask, "values": values} | changes


def test_the_model_these_tests_break_is_whole() -> None:
    opened = EntropyModel(model_bytes(MODEL))
    assert [latent.name for latent in opened.encoder_latents] == encoder_latents(MODEL) == ["mask", "values"]
    assert [latent.name for latent in opened.decoder_latents] == ["mask", "values"]
    for lanes in LANES:
        assert_exact(MODEL, latents(), 4, 2, lanes)


def test_lengths_are_those_of_the_values() -> None:
    found = reference.run(MODEL, latents())
    assert found["lengths"].tolist() == [[[2, 0, 2, 2], [3, 1, 0, 0]]]


def cannot_be_coded(model: Model, given: dict[str, Integers]) -> None:
    with pytest.raises(Refused):
        reference_picture.encode(model, given, 0)
    with pytest.raises(OutOfRange):
        EntropyModel(model_bytes(model)).encode(
            {name: values.astype(np.int16) for name, values in given.items()}, width=4, height=2
        )


@pytest.mark.parametrize("value", [-(2**15), -1, 4, 5, 2**15 - 1])
def test_values_out_of_the_alphabet_are_refused(value: int) -> None:
    """Also where the tables would carry them."""
    given = latents()
    given["mask"][0, 1, 1] = value
    cannot_be_coded(MODEL, given)


def test_values_where_nothing_is_coded_become_0() -> None:
    """Lengths are coded where the mask is 1 or more, values where the length is; what is elsewhere may be anything."""
    given = latents()
    given["values"][:, 0, 1] = [1, 0, 30000]
    assert_exact(MODEL, given, 4, 2)
    assert not reference.run(MODEL, given)["values"][:, 0, 1].any()
    by_mask = replace(MODEL, tensors=[MASK, VALUES], steps=[MASK_STEP, replace(VALUES_STEP, limit="mask")])
    ones = latents(values=np.ones((3, 2, 4), np.int64))
    assert_exact(by_mask, ones, 4, 2)
    assert reference.run(by_mask, ones)["values"].sum(0).tolist() == latents()["mask"][0].tolist()


@pytest.mark.parametrize("value", [3, 4, -2, 30000])
def test_a_payload_of_values_out_of_the_alphabet_is_refused(value: int) -> None:
    table = carrying_table(np.random.default_rng(3))
    step = Context("mask", 0, -1, np.zeros((1, 1, 5, 5), np.int64))
    model = Model(1, [MASK], [[table]], [], [step])
    side = Bits()
    interval = Ranked(table, 16).encode(value, side)
    digest = reference_coder.latents_digest([[value]])
    payload, lanes = reference_coder.encode_intervals([[interval]], side, 2, digest)
    with pytest.raises(Refused):
        reference_picture.decode(model, payload, 1, 1, lanes)
    with pytest.raises(Corrupt):
        EntropyModel(model_bytes(model)).decode(payload, width=1, height=1, lanes=lanes)


def refused(data: bytes) -> None:
    with pytest.raises(BadModel) as caught:
        EntropyModel(data)
    assert caught.value.offset is not None and 0 <= caught.value.offset <= len(data)


def with_steps(old: Context, new: Context) -> Model:
    return replace(MODEL, steps=[new if step is old else step for step in STEPS])


def with_tensor(old: Tensor, new: Tensor) -> Model:
    return replace(MODEL, tensors=[new if tensor is old else tensor for tensor in TENSORS])


def tables(ends: int, channels: int, symbols: int) -> Integers:
    return np.zeros((1 + ends, channels, symbols + 1, symbols + 1), np.int64)


SIGN = Layer(False, 1, 0, 0, 1, np.zeros(1, np.int64), np.ones((1, 1, 1, 1), np.int64), Index(np.array([[1]])))
INDEX, PLAIN = Tensor("index", 1, 1, indices=True), Tensor("plain", 1, 1, decoder_latent=True)


@pytest.mark.parametrize(
    "model",
    [
        with_steps(MASK_STEP, replace(MASK_STEP, table_set=1)),
        with_steps(MASK_STEP, replace(MASK_STEP, tables=MASK_STEP.tables + 6)),
        with_steps(MASK_STEP, replace(MASK_STEP, tables=tables(0, 1, 0))),
        with_steps(MASK_STEP, replace(MASK_STEP, tables=tables(0, 1, 65))),
        with_steps(MASK_STEP, replace(MASK_STEP, lowest=2**15 - 63)),
        with_steps(MASK_STEP, replace(MASK_STEP, tables=tables(1, 1, 4))),  # ends without a limit
        with_steps(LENGTHS_STEP, replace(LENGTHS_STEP, limit="lengths")),
        with_steps(LENGTHS_STEP, replace(LENGTHS_STEP, limit="values")),
        with_steps(LENGTHS_STEP, replace(LENGTHS_STEP, lowest=1)),  # 0 is not in the alphabet
        with_steps(LENGTHS_STEP, replace(LENGTHS_STEP, lowest=-4)),
        with_steps(LENGTHS_STEP, replace(LENGTHS_STEP, lowest=-1)),  # 3 is not
        with_steps(LENGTHS_STEP, replace(LENGTHS_STEP, tables=tables(0, 1, 3))),
        with_steps(VALUES_STEP, replace(VALUES_STEP, lowest=-4)),
        with_steps(VALUES_STEP, replace(VALUES_STEP, lowest=1)),
        with_steps(LENGTHS_STEP, replace(LENGTHS_STEP, prefix_of="lengths")),
        with_steps(LENGTHS_STEP, replace(LENGTHS_STEP, prefix_of="mask")),
        with_steps(VALUES_STEP, replace(VALUES_STEP, limit="mask")),  # and not the lengths
        with_steps(VALUES_STEP, replace(VALUES_STEP, limit=None, tables=tables(0, 3, 3))),
        with_steps(MASK_STEP, replace(MASK_STEP, prefix_of="values")),  # a second prefix
        with_tensor(MASK, replace(MASK, indices=True)),
        with_tensor(MASK, replace(MASK, stride=2)),
        with_tensor(LENGTHS, replace(LENGTHS, channels=2)),
        with_tensor(LENGTHS, replace(LENGTHS, stride=2)),
        replace(MODEL, alignment=2, tensors=[MASK, LENGTHS, replace(VALUES, stride=2)]),
        replace(MODEL, alignment=2, tensors=[replace(MASK, stride=2), LENGTHS, VALUES]),
        replace(MODEL, steps=[MASK_STEP, LENGTHS_STEP]),
        replace(MODEL, steps=[MASK_STEP, LENGTHS_STEP, Code("values", 0)]),
        replace(MODEL, steps=[VALUES_STEP, MASK_STEP, LENGTHS_STEP]),
        replace(MODEL, steps=[*STEPS, VALUES_STEP]),
        replace(MODEL, steps=[*STEPS, Affine("lengths", "mask", 0, np.zeros(1, np.int64), 0, 1)]),
        Model(  # limited by table indices
            1,
            [MASK, INDEX, PLAIN],
            [TABLES],
            [Net(0, 3, [SIGN])],
            [
                MASK_STEP,
                Apply("index", "mask", 0),
                replace(LENGTHS_STEP, tensor="plain", limit="index", prefix_of=None),
            ],
        ),
    ],
)
def test_a_broken_rule_is_refused(model: Model) -> None:
    refused(model_bytes(model))


def test_ends_are_0_or_1() -> None:
    data = model_bytes(MODEL)
    head = b"\3" + b"\1\0" + b"\xff\xff" + b"\1"  # symbols, limit, prefix and ends of the last step
    assert data.count(head) == 1
    refused(data.replace(head, head[:-1] + b"\2"))


def test_every_truncation_is_refused() -> None:
    data = model_bytes(MODEL)
    for size in range(len(data)):
        refused(data[:size])


def test_damage_to_the_model_is_refused_or_harmless() -> None:
    data = model_bytes(MODEL)
    given = {name: values.astype(np.int16) for name, values in latents().items()}
    opened = 0
    for at in range(len(data)):
        for value in {0, 1, 3, 5, 6, 127, 128, 255, data[at] ^ 1} - {data[at]}:
            try:
                model = EntropyModel(data[:at] + bytes([value]) + data[at + 1 :])
                payload, lanes = model.encode(given, width=4, height=2, threads=2)
                decoded = model.decode(payload, width=4, height=2, lanes=lanes)
            except EdgecodecError:
                continue
            opened += 1
            assert all(np.array_equal(values, given[name]) for name, values in decoded.items() if name in given)
    assert opened > 300


def test_no_damage_gives_other_latents_unnoticed() -> None:
    generator = np.random.default_rng(8)
    builder = Builder(generator)
    limit = builder.mask(ALIGNMENT, 3)
    builder.prefix(3, ALIGNMENT, limit=limit.tensor, ends=True)
    model = builder.model()
    opened = EntropyModel(model_bytes(model))
    size = {"width": 12 * ALIGNMENT, "height": 9 * ALIGNMENT}
    drawn = drawn_latents(model, generator, **size)
    payload, lanes = opened.encode({name: values.astype(np.int16) for name, values in drawn.items()}, **size)
    refusals = 0
    for bit in range(8 * len(payload)):
        damaged = bytearray(payload)
        damaged[bit // 8] ^= 1 << bit % 8
        try:
            decoded = opened.decode(damaged, lanes=lanes, **size)
        except (Corrupt, LatentsDiffer):
            refusals += 1
        else:
            assert all(np.array_equal(values, drawn[name]) for name, values in decoded.items() if name in drawn)
    assert refusals > 4 * len(payload)
