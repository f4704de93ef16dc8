"""The golden files are those of the format, not only of the library: the plain implementation reads and writes them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from functools import cache
from itertools import product
from typing import get_args

import numpy as np
import pytest

from edgecodec import container
from edgecodec.entropy_model import EntropyModel
from support import make_golden, reference_picture
from support.golden_files import GOLDENS, Golden
from support.golden_models import MODELS
from support.paths import GOLDEN
from support.reference_coder import Bits, Decoder, Distribution, Ranked
from support.reference_entropy_model import (
    Code,
    Coding,
    Context,
    Labels,
    Mixture,
    Model,
    Residual,
    Step,
    Tensors,
    coding_steps,
    decoder_latents,
    model_bytes,
)
from support.reference_integer_net import AnyLayer, Epilogue, Layer
from support.reference_model_file import parse_model
from support.reference_picture import Decision, InAlphabet, Mixed

PICTURES = {picture.name: picture for picture in make_golden.synthetics()}
each_golden = pytest.mark.parametrize("golden", GOLDENS, ids=lambda golden: golden.picture)


@dataclass
class Reading:
    """What the plain implementation makes of a file. happened: how often which thing that a symbol may do."""

    model: Model
    lanes: int
    payload: bytes
    known: Tensors
    happened: Counter[str] = field(default_factory=Counter)

    @property
    def last_step(self) -> type[Coding]:
        return type(coding_steps(self.model)[-1])

    @property
    def tails(self) -> tuple[int, int]:
        """tail8 and tail2."""
        if self.lanes == 2:
            return (0, 0)
        first, rest = _varint(self.payload)
        return (first, _varint(rest)[0]) if self.lanes > 8 else (0, first)


def _varint(data: bytes) -> tuple[int, bytes]:
    size = next(i for i, byte in enumerate(data) if byte < 128) + 1
    return sum((byte & 127) << 7 * i for i, byte in enumerate(data[:size])), data[size:]


@cache
def read(golden: Golden) -> Reading:
    coded = container.parse(golden.data())
    info = coded.info
    model = parse_model(golden.model_data())
    reading = Reading(model, info.lanes, bytes(coded.payload), {})
    decoder = Decoder(info.lanes, reading.payload)

    def symbol(distribution: Distribution) -> int:
        value = decoder.symbol(distribution)
        reading.happened.update(happenings(distribution, value))
        return value

    reading.known = reference_picture.fill(model, info.width, info.height, decoder.begin_step, symbol)
    assert decoder.finish() == reference_picture.digest(model, reading.known)
    return reading


def happenings(distribution: Distribution, value: int) -> list[str]:
    if isinstance(distribution, Decision):
        return ["decision"]
    if isinstance(distribution, Mixed):
        return list(_of_mixture(distribution, value))
    where = "alphabet" if isinstance(distribution, InAlphabet) else "table"
    ranked = distribution.table if isinstance(distribution, InAlphabet) else distribution
    assert isinstance(ranked, Ranked)
    if ranked.encode(value, Bits()) == ranked.interval(ranked.table.escape):
        return [f"{where}: escape"]
    return [f"{where}: raw bits" if ranked.table.raw_bits else f"{where}: rank"]


def _of_mixture(mixed: Mixed, value: int) -> list[str]:
    found = ["mixture: inside"]
    if not mixed.lowest <= value <= mixed.highest:
        found = ["mixture: escape below" if value < mixed.lowest else "mixture: escape above"]
    if mixed.highest - mixed.lowest == 254:
        found.append("mixture: 255 values")
    if len(mixed.components) < mixed.step.components:
        found.append("mixture: component without weight")
    return found


# ---- the files -----------------------------------------------------------------------------------------------------


@each_golden
def test_the_payload_gives_the_latents(golden: Golden) -> None:
    reading = read(golden)
    digests = (make_golden.digest(name, reading.known[name]) for name in decoder_latents(reading.model))
    assert tuple(digests) == golden.digests


@each_golden
def test_latents_give_the_payload(golden: Golden) -> None:
    """Decoder latents where they tell the encoder's, else those the file was made of."""
    reading = read(golden)
    latents = make_golden.as_encoder_input(reading.model, reading.known)
    if golden.writer == "apart":
        latents = PICTURES[golden.picture].latents(reading.model)
    assert latents is not None
    written = reference_picture.encode(reading.model, latents, reading.lanes, ramp=golden.writer != "other")
    assert written == (reading.payload, reading.lanes)


@pytest.mark.parametrize("golden", [golden for golden in GOLDENS if golden.writer == "apart"], ids=lambda g: g.picture)
def test_the_library_writes_what_its_decoder_does_not_tell(golden: Golden) -> None:
    reading = read(golden)
    info = container.parse(golden.data()).info
    latents = PICTURES[golden.picture].latents(reading.model)
    payload, _ = EntropyModel(golden.model_data()).encode(
        {name: values.astype(np.int16) for name, values in latents.items()},
        width=info.width,
        height=info.height,
        lanes=info.lanes,
    )
    assert payload == reading.payload


@pytest.mark.parametrize("name", MODELS)
def test_models_are_those_of_the_script(name: str) -> None:
    data = (GOLDEN / f"{name}.bin").read_bytes()
    assert model_bytes(MODELS[name]()) == model_bytes(parse_model(data)) == data


# ---- what they cover -----------------------------------------------------------------------------------------------


def test_every_kind_of_step_layer_and_epilogue() -> None:
    models = [parse_model(path.read_bytes()) for path in GOLDEN.glob("*.bin")]
    steps = [step for model in models for step in model.steps]
    assert {type(step) for step in steps} == set(get_args(Step))
    assert {step.indices is None for step in steps if isinstance(step, Code)} == {True, False}
    contexts = [step for step in steps if isinstance(step, Context)]
    assert {(step.limit is not None, step.prefix_of is not None, step.ends) for step in contexts} == {
        (False, False, False),
        (False, True, False),
        (True, False, False),
        (True, False, True),
        (True, True, False),
    }
    layers = [layer for model in models for net in model.nets for layer in net.layers]
    assert {type(layer) for layer in layers} == set(get_args(AnyLayer))
    convolutions = [layer for layer in layers if isinstance(layer, Layer)]
    assert {type(layer.epilogue) for layer in convolutions} == set(get_args(Epilogue))
    assert {(layer.transposed, layer.weight_bytes) for layer in convolutions} == set(product([True, False], [1, 2]))


def test_everything_that_a_symbol_may_do() -> None:
    happened = sum((read(golden).happened for golden in GOLDENS), Counter())
    assert {what for what, times in happened.items() if times >= 10} == {
        "table: rank",
        "table: raw bits",
        "table: escape",
        "alphabet: rank",
        "alphabet: raw bits",
        "alphabet: escape",
        "mixture: inside",
        "mixture: escape below",
        "mixture: escape above",
        "mixture: 255 values",
        "mixture: component without weight",
        "decision",
    }


def test_every_kind_of_coding_with_every_number_of_lanes() -> None:
    found = {(type(step), golden_lanes) for step, golden_lanes in _steps_with_symbols()}
    assert found == set(product([Code, Residual, Context, Mixture, Labels], make_golden.LANES))


def _steps_with_symbols() -> list[tuple[Coding, int]]:
    readings = [read(golden) for golden in GOLDENS]
    return [(step, reading.lanes) for reading in readings for step in coding_steps(reading.model)]


def test_ramps_at_the_end_of_every_kind_of_step() -> None:
    """Labels are never the last that is coded."""
    readings = [read(golden) for golden in GOLDENS]
    ramps = {(reading.last_step, reading.lanes) for reading in readings if reading.tails[1]}
    assert ramps == set(product([Code, Residual, Context, Mixture], [8, 32, 64]))
    both = {(reading.last_step, reading.lanes) for reading in readings if min(reading.tails)}
    assert both == set(product([Code, Residual, Context, Mixture], [32, 64]))


def test_pictures_with_hardly_anything_in_them() -> None:
    readings = [read(golden) for golden in GOLDENS]
    masked = [reading for reading in readings if "mask" in reading.known and not reading.known["mask"].any()]
    assert {reading.lanes for reading in masked} >= {2, 8, 64}
    one_place = [reading for reading in readings if all(v[0].size == 1 for v in reading.known.values())]
    assert {reading.last_step for reading in one_place} >= {Code, Context, Mixture}
    narrow = [
        step
        for reading in readings
        for step in reading.model.steps
        if isinstance(step, Mixture) and reading.known[step.tensor].shape[2] < step.delay
    ]
    assert {step.delay for step in narrow} == {3, 128, 255}
