"""Which graph belongs to which knobs, and what is said where none does, is as the plain reference has it."""

from __future__ import annotations

import math
import random
import struct
from collections.abc import Callable

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from edgecodec.description import (
    BakedGraph,
    BundleFile,
    Description,
    Knob,
    Knobs,
    LatentSpec,
    Model,
    Padding,
    Port,
    Side,
    Tiling,
)
from edgecodec.errors import InvalidArgument, KnobUnavailable
from support import native_runtime
from support.native_runtime import outcome
from support.reference_runtime import knobs as reference

MODEL = Model(
    "00000000",
    "entropy.bin",
    0.0,
    8,
    Padding(8, "reflect", 1),
    None,
    (LatentSpec("y", 3, 8),),
    (LatentSpec("y", 3, 8),),
)
N = Knob("n", "encode", "", (), -2.0, 2.0, 0.5)


def _knob(name: str, side: Side, *values: float, default: float | None = None) -> Knob:
    return Knob(name, side, "", values, values[0], values[-1], values[0] if default is None else default)


def _graph(
    side: Side, baked: Knobs, inputs: tuple[str, ...] = (), precision: str = "fp32", model: int = 0
) -> BakedGraph:
    knobs = tuple(Port(name, "knob", name) for name in inputs)
    image, latent = (Port("image", "image"),), (Port("y", "latent", "y"),)
    ports = (*image, *knobs) if side == "encode" else latent
    return BakedGraph(
        "a.onnx", side, model, precision, baked, ports, latent if side == "encode" else image, Tiling((1, 1))
    )


def _bundle(knobs: list[Knob], graphs: list[BakedGraph], models: int = 1) -> Description:
    files = {"a.onnx": BundleFile(1, "0" * 64)}
    return Description("test", "test", (MODEL,) * models, tuple(knobs), tuple(graphs), files)


def _chosen(
    description: Description,
    side: Side,
    asked: Knobs,
    *,
    model: int = 0,
    precision: str | None = None,
    any_default: bool = False,
) -> BakedGraph:
    """By the reference, in the order of the native library."""
    graphs = reference.graphs_of(description, side, model, precision)
    reference.check_known(description, side, asked)
    return reference.choose(description, graphs, asked, any_default)


def _both(call: Callable[[Callable[..., BakedGraph]], BakedGraph]) -> object:
    """What both find, which is the same graph and not an equal one, or the same error."""
    found, expected = outcome(lambda: call(native_runtime.choose_graph)), outcome(lambda: call(_chosen))
    assert found == expected
    assert found is expected or not isinstance(found, BakedGraph)
    return found


# ---- any bundle ----------------------------------------------------------------------------------------------------

NAMES = {"encode": ["quality", "n", "alpha"], "decode": ["quality", "beta", "alpha"]}
values = st.sampled_from([0.0, 1.0, 1.5, 1 / 64, 0.1, 0.3, 1e-9, 4.0, 1e16, -2.0, -0.0]) | st.floats(-1e3, 1e3)


@st.composite
def bundles(draw: st.DrawFn) -> Description:
    knobs: list[Knob] = []
    graphs: list[BakedGraph] = []
    models = draw(st.integers(1, 2))
    for side in ("encode", "decode"):
        for name in draw(st.lists(st.sampled_from(NAMES[side]), unique=True)):
            points = sorted(draw(st.lists(values, max_size=3, unique=True))) if name != "n" else []
            if side == "decode" and not points:
                continue
            if points:
                knobs.append(_knob(name, side, *points, default=draw(st.sampled_from(points))))
            else:
                low, default, high = sorted(draw(st.tuples(values, values, values)))
                knobs.append(Knob(name, side, "", (), low, high, default))
        own = [knob for knob in knobs if knob.side == side]
        for _ in range(draw(st.integers(0 if side == "encode" else 1, 4))):
            taken = draw(st.sets(st.sampled_from([knob.name for knob in own]))) if own else set()
            baked = {
                knob.name: draw(st.sampled_from(knob.values)) for knob in own if knob.name in taken and knob.values
            }
            inputs = tuple(knob.name for knob in own if knob.name in taken and not knob.values)
            precision, model = draw(st.sampled_from(["fp32", "fp16"])), draw(st.integers(0, models - 1))
            graphs.append(_graph(side, baked, inputs, precision, model))
    return _bundle(knobs, graphs, models)


@st.composite
def wishes(draw: st.DrawFn, description: Description, side: Side) -> Knobs:
    """Values of the bundle, others close to them and far, and a knob that there is not."""
    own = [knob for knob in description.knobs if knob.side == side]
    asked = {}
    for knob in own:
        if draw(st.booleans()):
            near = draw(st.sampled_from(knob.values or (knob.low, knob.high)))
            factor = draw(st.sampled_from([1.0, 1.0, 1 + 1e-10, 1 - 2e-9, 2.0]))
            asked[knob.name] = draw(values | st.just(near * factor) | st.just(near + 1e-10))
    if draw(st.integers(0, 4)) == 0:
        asked[draw(st.sampled_from(["gamma", "alpha", "no such", "it's", 'a"b', "2x", "", "new\nline"]))] = 1.0
    return asked


@settings(max_examples=200)
@given(st.data())
def test_the_graph_is_that_of_the_reference(data: st.DataObject) -> None:
    description = data.draw(bundles())
    side: Side = data.draw(st.sampled_from(["encode", "decode"]))
    asked = data.draw(wishes(description, side))
    model = data.draw(st.integers(0, len(description.models) - 1))
    precision = data.draw(st.sampled_from([None, None, "fp32", "int8"]))
    any_default = data.draw(st.booleans())
    _both(lambda choose: choose(description, side, asked, model=model, precision=precision, any_default=any_default))


@given(st.floats(), st.floats(), st.floats(), st.none() | st.floats())
def test_an_input_is_that_of_the_reference(low: float, high: float, default: float, asked: float | None) -> None:
    knob = Knob("n", "encode", "", (), low, high, default)
    wanted = {} if asked is None else {"n": asked, "other": 1.0}
    ours = outcome(lambda: native_runtime.input_value(knob, wanted))
    assert repr(ours) == repr(outcome(lambda: reference.input_value(knob, wanted)))


# ---- what is said --------------------------------------------------------------------------------------------------


def _refused(call: Callable[[], object]) -> tuple[str, str | None]:
    with pytest.raises(KnobUnavailable) as caught:
        call()
    return caught.value.message, caught.value.hint


def test_a_knob_that_does_not_exist() -> None:
    """Quality is not offered to a decoder, which takes the file's."""
    qualities, betas = (0.0, 1.5, 4.0), (0.0, 3.84)
    both = _bundle(
        [
            _knob("quality", "encode", *qualities),
            _knob("quality", "decode", *qualities),
            _knob("beta", "decode", *betas),
        ],
        [_graph("encode", {"quality": quality}) for quality in qualities]
        + [_graph("decode", {"quality": quality, "beta": beta}) for quality in qualities for beta in betas],
    )
    hint = "the knobs are quality (0, 1.5, 4) to encode, beta (0, 3.84) to decode"
    assert _refused(lambda: native_runtime.choose_graph(both, "decode", {"alpha": 1})) == (
        "decode takes no alpha",
        hint,
    )
    assert _refused(lambda: native_runtime.choose_graph(both, "decode", {"quality": 0.0, "it's": 2})) == (
        'decode takes no "it\'s" and no quality',
        hint,
    )
    tunable = _bundle(
        [N, _knob("alpha", "decode", 0.0, 0.5, 1.0)],
        [_graph("encode", {}, ("n",)), *(_graph("decode", {"alpha": alpha}) for alpha in (0.0, 0.5, 1.0))],
    )
    assert _refused(lambda: native_runtime.choose_graph(tunable, "encode", {"alpha": 1})) == (
        "encode takes no alpha",
        "the knobs are n (-2 to 2) to encode, alpha (0, 0.5, 1) to decode",
    )
    assert _refused(lambda: native_runtime.choose_graph(tunable, "decode", {"alpha": 0.3})) == (
        "nothing was exported for alpha=0.3",
        "the bundle has alpha 0, 0.5, 1",
    )
    plain = _bundle([], [_graph("encode", {}), _graph("decode", {})])
    assert _refused(lambda: native_runtime.choose_graph(plain, "encode", {"n": 1})) == (
        "encode takes no n",
        "the bundle has no knobs",
    )


def test_a_precision_that_was_not_exported() -> None:
    description = _bundle([], [_graph("decode", {}, precision="fp32"), _graph("decode", {}, precision="fp16")])
    assert _refused(lambda: native_runtime.choose_graph(description, "decode", {}, precision="int8")) == (
        "nothing was exported in int8",
        "the bundle has fp16, fp32",
    )


@pytest.mark.parametrize("n", [-2.01, 3.0, math.nan, math.inf])
def test_an_input_out_of_range(n: float) -> None:
    said = _refused(lambda: native_runtime.input_value(N, {"n": n}))
    assert said == (f"n={reference.decimal(n)} is out of range", "the bundle takes -2 to 2")


@pytest.mark.parametrize(
    ("asked", "problem"),
    [
        ([("beta", 1.0), ("alpha", 1.0), ("beta", 1.0), ("alpha", 2.0)], "alpha and beta given twice"),
        ([("beta", 1.0), (None, 1.0)], "value 1 has no name"),
    ],
)
def test_values_that_name_no_knob_or_one_twice(asked: list[tuple[str | None, float]], problem: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        native_runtime.choose_graph(_bundle([], [_graph("decode", {})]), "decode", asked)
    assert (caught.value.message, caught.value.where) == (problem, "knobs")


# ---- which values are the same -------------------------------------------------------------------------------------


def test_an_input_that_only_some_encoders_have() -> None:
    """It is asked of one that does, or refused, and never dropped."""
    description = _bundle(
        [_knob("quality", "encode", 0.0, 1.0), N],
        [_graph("encode", {"quality": 0.0}, ("n",)), _graph("encode", {"quality": 1.0})],
    )
    choose = native_runtime.choose_graph
    assert choose(description, "encode", {"n": 0.5}) is description.graphs[0]
    assert choose(description, "encode", {"quality": 1.0}) is description.graphs[1]
    assert _refused(lambda: choose(description, "encode", {"n": 0.5, "quality": 1.0})) == (
        "nothing was exported for n=0.5 quality=1",
        "the bundle has quality=0, quality=1",
    )


@pytest.mark.parametrize(
    ("asked", "found"), [(1.3, True), (1.29688, True), (1.305, False), (math.nan, False), (1e308, False)]
)
def test_a_quality_is_rounded_before_it_is_looked_for(asked: float, found: bool) -> None:
    description = _bundle([_knob("quality", "encode", 1.296875)], [_graph("encode", {"quality": 1.296875})])
    graph = _both(lambda choose: choose(description, "encode", {"quality": asked}))
    assert isinstance(graph, BakedGraph) == found


def _same(baked: float, asked: float) -> bool:
    """Whether a graph that was baked at one value is found by the other."""
    description = _bundle([_knob("n", "encode", baked)], [_graph("encode", {"n": baked})])
    found: object = _both(lambda choose: choose(description, "encode", {"n": asked}))
    return isinstance(found, BakedGraph)


def test_other_values_are_the_same_within_a_billionth() -> None:
    """Of the larger of the two, or absolutely."""
    generator = random.Random(0)
    for _ in range(300):
        baked = generator.uniform(1e3, 1e6)
        for asked in (baked * (1 - 1e-9), baked - baked * 1e-9, baked * (1 + 1e-9), baked + baked * 1e-9):
            assert _same(baked, asked) == math.isclose(baked, asked)
    assert [_same(0.0, 1e-9), _same(0.0, -1e-9), _same(0.0, 1.1e-9), _same(1e6, 1e6 - 9e-4)] == [
        True,
        True,
        False,
        True,
    ]


@given(st.floats(0, 4))
@example(1 / 128)
@example(3 / 128)
def test_every_quality_works_as_it_was_typed(asked: float) -> None:
    """What is asked of encode is what was asked of export."""
    baked = reference.quantised(asked)
    description = _bundle([_knob("quality", "encode", baked)], [_graph("encode", {"quality": baked})])
    for each in (asked, baked, float(reference.decimal(baked))):
        assert native_runtime.choose_graph(description, "encode", {"quality": each}) is description.graphs[0]


# ---- decimals ------------------------------------------------------------------------------------------------------


@settings(max_examples=500)
@given(st.floats() | st.integers(0, (1 << 64) - 1).map(lambda bits: struct.unpack("<d", struct.pack("<Q", bits))[0]))
@example(1e16)
@example(1e15 + 0.5)
@example(9999999999999998.0)
@example(1e-4)
@example(0.0001234)
@example(9.999e-5)
@example(5e-324)
@example(-0.0)
@example(2.0**-44)
@example(2.0**1023)
@example(123456789012345680.0)
def test_every_value_is_written_as_python_writes_it(value: float) -> None:
    text = native_runtime.decimal(value)
    assert text == reference.decimal(value)
    assert math.isnan(value) or float(text) == value


def test_powers_of_two_and_their_neighbours() -> None:
    """Where the shortest decimal is not always the nearest one of its length."""
    for power in (2.0**exponent for exponent in range(-1074, 1024)):
        for value in (math.nextafter(power, 0), power, math.nextafter(power, math.inf)):
            assert native_runtime.decimal(value) == reference.decimal(value)
