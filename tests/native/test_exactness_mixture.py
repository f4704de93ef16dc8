"""Values coded along a wavefront under mixtures: nets, intervals and order are those of the plain reference."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecodec.entropy_model import EntropyModel
from edgecodec.errors import BadModel, Corrupt, LatentsDiffer, OutOfRange
from support import reference_coder, reference_picture
from support.exactness import assert_exact
from support.random_models import ALIGNMENT, CAUSAL_3X5, CAUSAL_3X5_DELAY, Builder, drawn_latents, random_latents
from support.reference_coder import Bits, Refused, choose_lanes
from support.reference_entropy_model import Affine, Mixture, Model, Tensor, model_bytes
from support.reference_integer_net import AnyLayer, Crop, Index, Layer, Net, PixelShuffle, Requantise, Table
from support.reference_picture import Mixed

LANES = [0, 2, 8, 32, 64]
TAPS = [
    (CAUSAL_3X5, CAUSAL_3X5_DELAY),
    (CAUSAL_3X5, 9),
    ([(0, -1), (1, 0), (1, -1)], 1),
    ([(1, 127), (0, -128), (255, -1)], 128),
    ([(3, 1)], 255),  # every row after the whole row above it
]


@st.composite
def models(draw: st.DrawFn) -> Model:
    """A mixture; before and after it, now and then, another step with symbols."""
    builder = Builder(np.random.default_rng(draw(st.integers(0, 2**32))))
    if draw(st.booleans()):
        builder.code_by_channel(2, ALIGNMENT)
    taps, delay = draw(st.sampled_from(TAPS))
    builder.mixture(draw(st.integers(1, 4)), ALIGNMENT, taps, delay, draw(st.integers(1, 4)))
    if draw(st.booleans()):
        builder.indices(builder.values[-1], 2, 9)
        builder.code_by_index(builder.tensors[-1], 10)
    return builder.model()


def sides() -> st.SearchStrategy[int]:
    return st.integers(1, 7 * ALIGNMENT)


@settings(max_examples=100)
@given(models(), st.integers(0, 2**32), sides(), sides(), st.sampled_from(LANES), st.booleans())
def test_random_models_are_exact(model: Model, seed: int, width: int, height: int, lanes: int, as_likely: bool) -> None:
    draw = drawn_latents if as_likely else random_latents
    assert_exact(model, draw(model, np.random.default_rng(seed), width, height), width, height, lanes)


@pytest.mark.parametrize("lanes", LANES)
def test_large_pictures_are_exact(lanes: int) -> None:
    """Fronts of tens of positions, which kernels take at a time, and enough symbols for all parts of the ramp."""
    generator = np.random.default_rng(lanes)
    builder = Builder(generator)
    builder.mixture(2, ALIGNMENT, CAUSAL_3X5, CAUSAL_3X5_DELAY, 2)
    model = builder.model()
    width, height = 50 * ALIGNMENT, 22 * ALIGNMENT
    assert_exact(model, random_latents(model, generator, width, height), width, height, lanes)


# A model that is spelled out: one channel, and parameters that do not depend on what was decoded.

TAILS = [round(65536 * 0.5 * math.erfc(j / 16 / math.sqrt(2))) for j in range(100)]
WEIGHTS = [round(65535 * math.exp(-j / 256)) for j in range(2000)]
CODED = Tensor("y", 1, 1, decoder_latent=True)
MIXTURE = Mixture("y", 0, 1, [(0, -1), (1, 0)], 1, 8, 8, 29, 8, 4, TAILS, WEIGHTS)


def constant_layer(inputs: int, outputs: Sequence[int]) -> Layer:
    """Whatever comes in, these values come out."""
    count = len(outputs)
    ones = np.ones(count, np.int64)
    weight = np.zeros((count, 1, 1, inputs), np.int64)
    requantise = Requantise(2 * ones, 2 * ones, ones, -(2**15), 2**15 - 1)
    return Layer(False, 1, 0, 0, 1, np.array(outputs, np.int64), weight, requantise)


def constant_model(step: Mixture, parameters: Sequence[tuple[int, int, int]]) -> Model:
    """parameters: mean, scale and logit of every component."""
    outputs = [number for component in parameters for number in component]
    layer = constant_layer(len(step.taps), outputs)
    return Model(1, [CODED], [], [Net(-9, 9, [layer])], [replace(step, components=len(parameters))])


def only_distribution(model: Model) -> Mixed:
    """That of the one symbol which a picture of one position has."""
    (step,) = model.steps
    assert isinstance(step, Mixture)
    ((_, distribution),) = reference_picture.distributions(model, step, np.zeros((1, 1, 1), np.int64), {})
    assert isinstance(distribution, Mixed)
    return distribution


MODEL = constant_model(MIXTURE, [(700, 300, 0)])

EXTREMES = [
    [(0, 0, 0)],
    [(2**15 - 1, 0, 0)],
    [(-(2**15), 1, 5)],
    [(0, -(2**15), 0)],
    [(2**15 - 1, -(2**15), 2**15 - 1), (-(2**15), 2**15 - 1, -(2**15))],
    [(2**15 - 1, 3, 7), (-(2**15), 3, 7)],  # far apart: between them hardly any mass
    [(100, 50, 7), (100, 50, 7), (100, 50, 7)],
    [(-5000, 40, 0), (3000, 2000, 255), (0, 9, 256)],
    [(i * 300 - 2400, 30 * i, i % 3) for i in range(16)],
]


@pytest.mark.parametrize("parameters", EXTREMES, ids=range(len(EXTREMES)))
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"mean_fraction": 1, "scale_fraction": 0, "reach": 16},
        {"mean_fraction": 14, "scale_fraction": 14, "reach": 1, "least_scale": 1},
        {"mean_fraction": 14, "scale_fraction": 0, "tail_fraction": 10, "least_scale": 65535, "reach": 16},
        {"mean_fraction": 1, "scale_fraction": 14, "least_scale": 1},
        {"tails": [0, 0], "weights": [1]},
        {"tails": [32768, 0], "tail_fraction": 0},
        {"tails": [32768, 32768], "weights": [65535, 0, 65535]},
        {"tails": [32768] * 3 + [1], "weights": [65535] * 60000},
    ],
    ids=range(9),
)
def test_extreme_parameters_are_exact(parameters: list[tuple[int, int, int]], changes: dict[str, Any]) -> None:
    """All values near the window's ends, and some beyond it."""
    model = constant_model(replace(MIXTURE, **changes), parameters)
    window = only_distribution(model)
    near = range(window.lowest - 3, window.highest + 4)
    far = [v for v in (-32768, -20000, 20000, 32767) if abs(v - window.lowest) < 2**15]
    chosen = [v for v in [*near, *far] if -(2**15) <= v < 2**15]
    assert_exact(model, {"y": np.array(chosen).reshape(1, 1, -1)}, len(chosen), 1)


@pytest.mark.parametrize("parameters", EXTREMES, ids=range(len(EXTREMES)))
def test_intervals_fill_the_slots(parameters: list[tuple[int, int, int]]) -> None:
    """Each value of the window has at least one slot, and so has the escape; no slot belongs to two or to none."""
    model = constant_model(MIXTURE, parameters)
    window = only_distribution(model)
    assert window.highest - window.lowest <= 254
    intervals = [window.interval(value) for value in range(window.lowest, window.highest + 1)] + [window.escape()]
    end = 0
    for interval in intervals:
        assert interval.start == end and interval.width >= 1
        end += interval.width
    assert end == 1 << 16


@pytest.mark.parametrize("value", [-(2**15), 2**15 - 1])
def test_a_value_too_far_from_the_window_is_refused(value: int) -> None:
    """Behind an escape 16 bits are all there is: of the two ends of the range one is too far from 20 or so."""
    model = constant_model(replace(MIXTURE, mean_fraction=1), [(value // -2, 300, 0)])
    with pytest.raises(Refused):
        reference_picture.encode(model, {"y": np.full((1, 1, 1), value)}, 0)
    with pytest.raises(OutOfRange):
        EntropyModel(model_bytes(model)).encode({"y": np.full((1, 1, 1), value, np.int16)}, width=1, height=1)


@pytest.mark.parametrize("parameters", EXTREMES[:1] + EXTREMES[6:], ids=[0, 6, 7, 8])
def test_lanes_change_where_the_reference_changes_them(parameters: list[tuple[int, int, int]]) -> None:
    """Symbols of intervals count 16 bits each less the logarithm of their widths; one symbol decides."""
    model = constant_model(MIXTURE, parameters)
    window = only_distribution(model)
    value = min((window.lowest + window.highest) // 2 + 5, window.highest)
    interval = window.interval(value)
    around = math.ceil(1024 * 8 / (16 - math.log2(interval.width)))
    limit = next(count for count in range(around - 3, around + 3) if choose_lanes([interval] * count, 0) == 8)
    opened = EntropyModel(model_bytes(model))
    for count, lanes in ((limit - 1, 2), (limit, 8)):
        assert choose_lanes([interval] * count, 0) == lanes
        latents = {"y": np.full((1, 1, count), value, np.int16)}
        assert opened.encode(latents, width=count, height=1)[1] == lanes


# ---- what must be refused ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_an_escape_to_a_value_of_the_window_is_refused(share: float) -> None:
    """share: how far up in the window the value is."""
    window = only_distribution(MODEL)
    value = window.lowest + int(share * (window.highest - window.lowest))
    side = Bits()
    reference_coder.put_escape(value - window.lowest, side)
    digest = reference_coder.latents_digest([[value]])
    payload, lanes = reference_coder.encode_intervals([[window.escape()]], side, 2, digest)
    with pytest.raises(Refused):
        reference_picture.decode(MODEL, payload, 1, 1, lanes)
    with pytest.raises(Corrupt):
        EntropyModel(model_bytes(MODEL)).decode(payload, width=1, height=1, lanes=lanes)


def refused(model: Model) -> None:
    with pytest.raises(BadModel) as caught:
        EntropyModel(model_bytes(model))
    assert caught.value.offset is not None and 0 <= caught.value.offset <= len(model_bytes(model))


def test_the_model_these_tests_break_is_whole() -> None:
    opened = EntropyModel(model_bytes(MODEL))
    assert [latent.name for latent in opened.encoder_latents] == ["y"]
    assert [latent.name for latent in opened.decoder_latents] == ["y"]


@pytest.mark.parametrize(
    "changes",
    [
        {"net": 1},
        {"net": 65535},
        {"taps": []},
        {"taps": [(0, -1)]},  # one less than the net takes
        {"taps": [(0, -1)] * 3},
        {"taps": [(0, -1), (0, 0)]},
        {"taps": [(0, -1), (0, 1)]},
        {"taps": [(0, -1), (1, 1)]},
        {"taps": [(0, -1), (1, 2)]},
        {"taps": [(0, -1), (1, 0)], "delay": 0},
        {"taps": [(0, -1), (1, -1)], "delay": 0},
        {"taps": [(0, -1), (2, 6)], "delay": 3},
        {"components": 0},
        {"components": 2},
        {"components": 17},
        {"mean_fraction": 0},
        {"mean_fraction": 15},
        {"scale_fraction": 15},
        {"least_scale": 0},
        {"reach": 0},
        {"reach": 17},
        {"tail_fraction": 11},
        {"tails": []},
        {"tails": [0]},
        {"tails": [32769, 0]},
        {"tails": [5, 4, 5]},
        {"tails": [0, 1]},
        {"weights": []},
        {"weights": [0]},
        {"weights": [0, 1]},
    ],
    ids=str,
)
def test_a_field_out_of_its_range_is_refused(changes: dict[str, Any]) -> None:
    refused(replace(MODEL, steps=[replace(MIXTURE, **changes)]))


def wider(kernel: int) -> Layer:
    layer = constant_layer(2, [0, 1, 2])
    return replace(layer, padding=kernel // 2, weight=np.zeros((3, kernel, kernel, 2), np.int64))


LAYER = constant_layer(2, [0, 1, 2])
INDICES = replace(LAYER, epilogue=Index(np.zeros((3, 1), np.int64)))


@pytest.mark.parametrize(
    "layers",
    [
        [wider(3)],
        [wider(5)],
        [PixelShuffle(1, 2), LAYER],
        [LAYER, PixelShuffle(1, 3)],
        [Crop(0, 0, 0, 0, 2), LAYER],
        [INDICES],
        [constant_layer(2, [0] * 6)],
        [constant_layer(2, [0] * 2)],
        [constant_layer(1, [0] * 3)],
        [LAYER, constant_layer(3, [0] * 4)],
    ],
)
def test_a_net_that_is_none_of_a_mixture_is_refused(layers: list[AnyLayer]) -> None:
    refused(replace(MODEL, nets=[replace(MODEL.nets[0], layers=layers)]))


def test_hidden_layers_and_tables_are_allowed() -> None:
    hidden = replace(constant_layer(2, [3, 4, 5, 6]), transposed=True)  # which with one weight is no different
    last = constant_layer(4, [0, 1, 2])
    assert isinstance(last.epilogue, Requantise)
    narrow = replace(last.epilogue, low=-1, high=1)
    looked_up = replace(last, epilogue=Table(narrow, np.array([-700, 900, 5])))
    model = replace(MODEL, nets=[replace(MODEL.nets[0], layers=[hidden, looked_up])])
    assert_exact(model, {"y": np.arange(-30, 30).reshape(1, 6, 10)}, 10, 6)


@pytest.mark.parametrize(
    "tensors",
    [
        [replace(CODED, indices=True)],
        [replace(CODED, decoder_latent=False)],
        [replace(CODED, channels=2)],
        [CODED, Tensor("z", 1, 1, decoder_latent=True)],  # which no step defines
    ],
)
def test_tensors_that_do_not_fit_are_refused(tensors: list[Tensor]) -> None:
    refused(replace(MODEL, tensors=tensors))


def test_a_tensor_is_defined_once() -> None:
    refused(replace(MODEL, steps=[MODEL.steps[0], MODEL.steps[0]]))
    again = Affine("y", "y", 0, np.zeros(1, np.int64), 0, 1)
    refused(replace(MODEL, steps=[MODEL.steps[0], again]))


def test_every_truncation_is_refused() -> None:
    data = model_bytes(MODEL)
    for size in range(len(data)):
        with pytest.raises(BadModel):
            EntropyModel(data[:size])


def test_no_damage_gives_other_latents_unnoticed() -> None:
    generator = np.random.default_rng(8)
    builder = Builder(generator)
    builder.mixture(2, ALIGNMENT, CAUSAL_3X5, CAUSAL_3X5_DELAY, 3)
    model = builder.model()
    opened = EntropyModel(model_bytes(model))
    size = {"width": 6 * ALIGNMENT, "height": 5 * ALIGNMENT}
    (latents,) = drawn_latents(model, generator, **size).values()
    payload, lanes = opened.encode({"t0": latents.astype(np.int16)}, **size)
    refusals = 0
    for bit in range(8 * len(payload)):
        damaged = bytearray(payload)
        damaged[bit // 8] ^= 1 << bit % 8
        try:
            decoded = opened.decode(damaged, lanes=lanes, **size)
        except (Corrupt, LatentsDiffer):
            refusals += 1
        else:
            assert np.array_equal(decoded["t0"], latents)
    assert refusals > 4 * len(payload)
