"""All that a bundle can be asked for is measured, and nothing else: points come from the bundle's description."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import pytest

from edgecodec.bundle import Bundle
from edgecodec.description import BakedGraph, Description, Knob, Model, Padding, Port, Side, Tiling
from edgecodec.errors import KnobUnavailable
from edgecodec_evaluate.points import EncoderPoint, points
from support.paths import TINY


def graph(side: Side, knobs: Mapping[str, float], *inputs: str, model: int = 0, precision: str = "fp32") -> BakedGraph:
    ports = tuple(Port(name, "knob", name) for name in inputs)
    return BakedGraph("graph.onnx", side, model, precision, knobs, ports, (), Tiling(None))


def knob(name: str, side: Side, values: Sequence[float], default: float, low: float = 0, high: float = 0) -> Knob:
    return Knob(name, side, "", tuple(values), low, high, default)


def bundle(knobs: Sequence[Knob], graphs: Sequence[BakedGraph]) -> Description:
    model = Model("00000000", "entropy.bin", 0, 16, Padding(16, "reflect", 1), None, (), ())
    return Description("any", "small", (model, model), tuple(knobs), tuple(graphs), {})


STEP = [knob("step", "encode", (0, 2), 2), knob("step", "decode", (0, 2), 2), knob("look", "decode", (0, 5), 5)]
BAKED = bundle(
    STEP,
    [
        *(graph("encode", {"step": value}) for value in (0, 2)),
        *(graph("decode", {"step": value, "look": look}) for value in (0, 2) for look in (0, 5)),
        *(graph("decode", {"step": value, "look": look}, precision="fp16") for value in (0, 2) for look in (0, 5)),
    ],
)
SCALAR = bundle([knob("gain", "encode", (), 0, -2, 2)], [graph("encode", {}, "gain"), graph("decode", {})])


def test_one_encoder_and_every_decoder() -> None:
    assert points(Bundle(TINY).info) == [EncoderPoint({}, ({"alpha": 0.0}, {"alpha": 0.5}, {"alpha": 1.0}), True)]


def test_a_knob_of_both_sides_is_carried_by_the_file() -> None:
    looks: tuple[dict[str, float], ...] = ({"look": 0}, {"look": 5})
    assert points(BAKED) == [EncoderPoint({"step": 0}, looks, False), EncoderPoint({"step": 2}, looks, True)]


def test_a_decoder_that_was_not_baked_for_a_file_is_left_out() -> None:
    graphs = [each for each in BAKED.graphs if each.knobs != {"step": 0, "look": 5}]
    found = points(bundle(STEP, graphs))
    assert [each.decoders for each in found] == [({"look": 0},), ({"look": 0}, {"look": 5})]


def test_files_are_decoded_with_decoders_of_their_own_model() -> None:
    both = bundle(
        STEP,
        [
            *(graph("encode", {"step": 2.0 * number}, model=number) for number in (0, 1)),
            *(graph("decode", {"look": 5.0 * number}, model=number) for number in (0, 1)),
        ],
    )
    assert [(each.knobs, each.decoders) for each in points(both)] == [
        ({"step": 0}, ({"look": 0},)),
        ({"step": 2}, ({"look": 5},)),
    ]


def test_a_knob_without_baked_values_is_sampled_from_end_to_end() -> None:
    assert [each.knobs["gain"] for each in points(SCALAR)] == [-2, -1, 0, 1, 2]
    assert [each.default for each in points(SCALAR)] == [False, False, True, False, False]
    assert [each.knobs for each in points(SCALAR, {"gain": (0.25, 1)})] == [{"gain": 0.25}, {"gain": 1}]


@pytest.mark.parametrize(
    ("low", "high", "default", "values"),
    [
        (-2, 2, 0.5, [-2, -1, 0, 0.5, 1, 2]),
        (1, 5, 2, [1, 2, 3, 4, 5]),
        (3, 3, 3, [3]),
        (0, 1, 0, [0, 0.25, 0.5, 0.75, 1]),
        (-0.1, 0.3, 0, [-0.1, 0, 0.1, 0.2, 0.3]),
        (1e-4, 1, 1e-3, [1e-4, 1e-3, 1e-2, 1e-1, 1]),  # at equal ratios
        (0, 1e9, 0.1, [0, 0.1, 10**1.5, 1e4, 10**6.5, 1e9]),  # from the default on
        (0, 1e9, 0, [0, 2.5e8, 5e8, 7.5e8, 1e9]),  # nothing says which of these are of use
        (-1e308, 1e308, 0, [-1e308, -5e307, 0, 5e307, 1e308]),
        (5e-324, 1e308, 1, [5e-324, 10**-165.4796, 10**-7.6531, 1, 10**150.1735, 1e308]),  # no float is their ratio
        (1, 4, 1 + 2**-52, [1, 1 + 2**-52, 1.75, 2.5, 3.25, 4]),
        (0.1, 0.5, 0.1 + 0.1 + 0.1, [0.1, 0.2, 0.3, 0.4, 0.5]),  # 0.3 is not there twice
    ],
)
def test_samples_have_the_ends_the_default_and_sense(
    low: float, high: float, default: float, values: Sequence[float]
) -> None:
    described = bundle(
        [knob("gain", "encode", (), default, low, high)], [graph("encode", {}, "gain"), graph("decode", {})]
    )
    found = points(described)
    given = [each.knobs["gain"] for each in found]
    assert given == sorted(set(given)) and {low, high, default} <= {*given} and all(map(math.isfinite, given))
    assert sum(each.default for each in found) == 1
    assert given == pytest.approx(values, rel=1e-3)


@pytest.mark.parametrize(("low", "high"), [(0, math.inf), (-math.inf, 1), (-math.inf, math.inf)])
def test_a_range_without_an_end_takes_values_of_somebodys_choice(low: float, high: float) -> None:
    described = bundle([knob("beta", "encode", (), 1, low, high)], [graph("encode", {}, "beta"), graph("decode", {})])
    with pytest.raises(KnobUnavailable, match=r"beta goes from .*--knob beta=1"):
        points(described)
    assert [each.knobs for each in points(described, {"beta": (0.5, 1)})] == [{"beta": 0.5}, {"beta": 1}]


def test_values_can_be_chosen() -> None:
    assert points(BAKED, {"look": (5,), "step": (0,)}) == [EncoderPoint({"step": 0}, ({"look": 5},), False)]


@pytest.mark.parametrize(
    ("described", "chosen", "message"),
    [
        (BAKED, {"gain": (0,)}, "no knob gain.*it has step, look"),
        (BAKED, {"look": (0, 4)}, "look has no value 4.*it has 0, 5"),
        (SCALAR, {"gain": (2.5,)}, "gain has no value 2.5.*from -2 to 2"),
        (bundle([], [graph("encode", {}), graph("decode", {})]), {"gain": (0,)}, "no knob gain.*it has none"),
        (bundle(STEP, [graph("decode", {})]), {}, "no encoder and decoder"),
    ],
)
def test_what_the_bundle_has_not_is_refused(
    described: Description, chosen: Mapping[str, Sequence[float]], message: str
) -> None:
    with pytest.raises(KnobUnavailable, match=message):
        points(described, chosen)
