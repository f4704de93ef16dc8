"""Label maps as steps of a model: decisions, their number and what follows them are those of the plain reference."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecodec.entropy_model import EntropyModel
from edgecodec.errors import BadModel, Corrupt, LatentsDiffer, OutOfRange
from support import reference_picture
from support.exactness import assert_exact
from support.random_models import ALIGNMENT, Builder, carrying_tables, drawn_latents
from support.reference_coder import Refused
from support.reference_entropy_model import Apply, Code, Labels, Model, Step, Tensor, encoder_latents, model_bytes
from support.reference_integer_net import Index, Layer, Net

LANES = [0, 2, 8, 32, 64]


@st.composite
def models(draw: st.DrawFn) -> Model:
    """Label maps, one after the other or between other steps, and at last a step of a known number of symbols."""
    builder = Builder(np.random.default_rng(draw(st.integers(0, 2**32))))
    for _ in range(draw(st.integers(1, 2))):
        if draw(st.booleans()):
            builder.code_by_channel(1, ALIGNMENT)
        builder.labels(draw(st.integers(1, 3)), ALIGNMENT, draw(st.sampled_from([1, 2, 3, 19, 256])))
    if draw(st.booleans()):
        builder.code_by_index(builder.indices(builder.values[-1], 2, 9), 10)
    else:
        builder.context(builder.tensor(2, ALIGNMENT, latent=True), -1, 3)
    return builder.model()


def sides() -> st.SearchStrategy[int]:
    return st.integers(1, 7 * ALIGNMENT)


@settings(max_examples=80)
@given(models(), st.integers(0, 2**32), sides(), sides(), st.sampled_from(LANES))
def test_random_models_are_exact(model: Model, seed: int, width: int, height: int, lanes: int) -> None:
    assert_exact(model, drawn_latents(model, np.random.default_rng(seed), width, height), width, height, lanes)


# Two maps of three classes, whose values choose the tables of what follows.

MAPS, INDEX, AFTER = TENSORS = [
    Tensor("maps", 2, 1, decoder_latent=True),
    Tensor("index", 2, 1, indices=True),
    Tensor("after", 2, 1, decoder_latent=True),
]
IDENTITY = np.eye(2, dtype=np.int64)[:, None, None, :]
READ_OUT = Layer(False, 1, 0, 0, 1, np.zeros(2, np.int64), IDENTITY, Index(np.array([[1, 2], [1, 2]])))
MAPS_STEP = Labels("maps", 3)
STEPS: list[Step] = [MAPS_STEP, Apply("index", "maps", 0), Code("after", 0, "index")]
MODEL = Model(1, TENSORS, [carrying_tables(np.random.default_rng(2), 3)], [Net(0, 2, [READ_OUT])], STEPS)


def latents(width: int, height: int) -> dict[str, np.ndarray]:
    """Regions of labels."""
    rows, columns = np.mgrid[0:height, 0:width]
    maps = np.stack([(rows + columns) // 9 % 3, (rows - 2 * columns > 3) * 2])
    return {"maps": maps, "after": maps * 40 - rows}


@pytest.mark.parametrize("lanes", LANES)
@pytest.mark.parametrize(("width", "height"), [(1, 1), (2, 1), (1, 2), (3, 3), (70, 41)])
def test_regions_are_exact(width: int, height: int, lanes: int) -> None:
    assert encoder_latents(MODEL) == ["maps", "after"]
    assert_exact(MODEL, latents(width, height), width, height, lanes)


@pytest.mark.parametrize("label", [-1, 3, 255, 256, -(2**15), 2**15 - 1])
def test_a_label_without_a_class_is_refused(label: int) -> None:
    given = latents(4, 3)
    given["maps"][1, 2, 3] = label
    with pytest.raises(Refused):
        reference_picture.encode(MODEL, given, 0)
    with pytest.raises(OutOfRange):
        EntropyModel(model_bytes(MODEL)).encode(
            {name: values.astype(np.int16) for name, values in given.items()}, width=4, height=3
        )


@pytest.mark.parametrize(
    "model",
    [
        replace(MODEL, steps=[replace(MAPS_STEP, classes=0), *STEPS[1:]]),
        replace(MODEL, steps=[replace(MAPS_STEP, classes=4), *STEPS[1:]]),  # which the net cannot take
        replace(MODEL, steps=[replace(MAPS_STEP, classes=257), *STEPS[1:]]),
        replace(MODEL, steps=STEPS[:1], tensors=TENSORS[:1]),  # with nothing after it
        replace(MODEL, steps=[Labels("after", 3), *STEPS[:2]]),
        replace(MODEL, steps=[Labels("index", 3), *STEPS]),
        replace(MODEL, steps=[*STEPS, MAPS_STEP]),
    ],
)
def test_a_broken_rule_is_refused(model: Model) -> None:
    with pytest.raises(BadModel) as caught:
        EntropyModel(model_bytes(model))
    assert caught.value.offset is not None and 0 <= caught.value.offset <= len(model_bytes(model))


@pytest.mark.parametrize(("classes", "opens"), [(0, False), (1, True), (256, True), (257, False), (65535, False)])
def test_there_are_1_to_256_classes(classes: int, opens: bool) -> None:
    """Nothing but the count is wrong with such a model: the tensor behind the map does not depend on it."""
    tensors = [Tensor("map", 1, 1, decoder_latent=True), Tensor("after", 1, 1, decoder_latent=True)]
    tables = [carrying_tables(np.random.default_rng(2), 1)]
    data = model_bytes(Model(1, tensors, tables, [], [Labels("map", classes), Code("after", 0)]))
    if opens:
        assert [latent.name for latent in EntropyModel(data).encoder_latents] == ["map", "after"]
        return
    with pytest.raises(BadModel, match="number of classes out of range"):
        EntropyModel(data)


def test_no_damage_gives_other_latents_unnoticed() -> None:
    opened = EntropyModel(model_bytes(MODEL))
    given = {name: values.astype(np.int16) for name, values in latents(20, 16).items()}
    payload, lanes = opened.encode(given, width=20, height=16)
    refusals = 0
    for bit in range(8 * len(payload)):
        damaged = bytearray(payload)
        damaged[bit // 8] ^= 1 << bit % 8
        try:
            decoded = opened.decode(damaged, width=20, height=16, lanes=lanes)
        except (Corrupt, LatentsDiffer):
            refusals += 1
        else:
            assert all(np.array_equal(values, given[name]) for name, values in decoded.items())
    assert refusals > 4 * len(payload)
