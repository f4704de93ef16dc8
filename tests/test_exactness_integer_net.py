"""Integer nets give the same integers whatever kernels, threads and shapes: those of the plain reference."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from edgecodec import native
from edgecodec.errors import BadModel
from tests import reference_integer_net as reference
from tests.native_net import NativeNet
from tests.reference_integer_net import INT32_MAX, INT32_MIN, Index, Integers, Layer, Net, Requantise


@pytest.fixture(autouse=True)
def _restore_kernels() -> Iterator[None]:
    chosen = native.kernels()
    yield
    native.force_kernels(chosen)


def assert_exact(net: Net, values: Integers) -> None:
    """Every kernel and number of threads gives the reference's output."""
    expected = reference.run(net, values)
    opened = NativeNet(reference.net_bytes(net))
    assert opened.shape(*values.shape[1:]) == expected.shape
    for kernels in native.kernels_available():
        native.force_kernels(kernels)
        for threads in (1, 2, 5):
            np.testing.assert_array_equal(opened.run(values, threads), expected, f"{kernels}, {threads} threads")


def random_layer(
    generator: np.random.Generator,
    channels: tuple[int, int],
    geometry: tuple[bool, int, int, int, int],
    bounds: tuple[int, int],
    thresholds: int = 0,
) -> Layer:
    """A layer of random numbers as large as bounds allow. geometry: transposed, kernel, stride and both paddings."""
    inputs, outputs = channels
    transposed, kernel, stride, padding, output_padding = geometry
    weight_bytes = int(generator.integers(1, 3))
    limit = 2 ** (8 * weight_bytes - 1)
    weight = generator.integers(-limit, limit, (outputs, kernel, kernel, inputs))
    bias = generator.integers(-(2 ** int(generator.integers(1, 31))), 2**30, outputs)

    def layer(epilogue: Requantise | Index) -> Layer:
        return Layer(transposed, stride, padding, output_padding, weight_bytes, bias, weight, epilogue)

    unfinished = layer(Index(np.zeros((outputs, 1), np.int64)))
    low, high = reference.accumulator_bounds(unfinished, *bounds)
    while low.min() < INT32_MIN or high.max() > INT32_MAX:
        weight, bias = weight // 2, bias // 2
        unfinished = layer(Index(np.zeros((outputs, 1), np.int64)))
        low, high = reference.accumulator_bounds(unfinished, *bounds)

    # Real accumulators stay well inside their bounds; so do the thresholds, and the shifts make the most of 16 bits.
    spread = np.maximum((high - low) // 8, 1)
    middle = (high + low) // 2
    if thresholds:
        drawn = middle[:, None] + generator.integers(-spread[:, None], spread[:, None] + 1, (outputs, thresholds))
        return layer(Index(np.sort(drawn, axis=1)))
    multipliers = generator.integers(-(2**31), 2**31, (2, outputs)) >> generator.integers(0, 31, (2, outputs))
    size = np.abs(multipliers).max(0) * np.maximum(np.abs(low), np.abs(high))
    shift = np.clip(np.log2(size + 1).astype(np.int64) - generator.integers(8, 17, outputs), 1, 62)
    bounds_out = np.sort(generator.integers(-(2**15), 2**15, 2))
    return layer(Requantise(multipliers[0], multipliers[1], shift, int(bounds_out[0]), int(bounds_out[1])))


@st.composite
def geometries(draw: st.DrawFn, sides: tuple[int, int]) -> tuple[bool, int, int, int, int]:
    """A geometry with an output, not a large one, for an input of these sides."""
    transposed = draw(st.booleans())
    kernel = draw(st.integers(1, 5))
    stride = draw(st.integers(1, min(kernel, 3)))
    padding = draw(st.integers(0, kernel - 1))
    output_padding = draw(st.integers(0, stride - 1)) if transposed else 0
    geometry = transposed, kernel, stride, padding, output_padding
    assume(all(0 < output_side(side, geometry) <= 40 for side in sides))
    return geometry


def output_side(side: int, geometry: tuple[bool, int, int, int, int]) -> int:
    transposed, kernel, stride, padding, output_padding = geometry
    if transposed:
        return (side - 1) * stride - 2 * padding + kernel + output_padding
    return (side + 2 * padding - kernel) // stride + 1


@st.composite
def nets(draw: st.DrawFn) -> tuple[Net, Integers]:
    """A net and an input for it, of up to three layers and any mixture of geometries."""
    generator = np.random.default_rng(draw(st.integers(0, 2**32)))
    rows, columns = draw(st.integers(1, 9)), draw(st.integers(1, 20))
    low, high = sorted(draw(st.tuples(st.integers(-(2**15), 2**15 - 1), st.integers(-(2**15), 2**15 - 1))))
    count = draw(st.integers(1, 3))
    channels = [draw(st.integers(1, 20)) for _ in range(count + 1)]
    thresholds = draw(st.sampled_from([0, 1, 2, 31, 62, 63, 64, 126, 127, 255]))

    layers: list[Layer] = []
    sides, bounds = (rows, columns), (low, high)
    for i in range(count):
        geometry = draw(geometries(sides))
        last = i + 1 == count
        layer = random_layer(generator, (channels[i], channels[i + 1]), geometry, bounds, thresholds if last else 0)
        layers.append(layer)
        sides = output_side(sides[0], geometry), output_side(sides[1], geometry)
        if isinstance(layer.epilogue, Requantise):
            bounds = (layer.epilogue.low, layer.epilogue.high)
    return Net(low, high, layers), generator.integers(low, high + 1, (channels[0], rows, columns))


@settings(max_examples=250, deadline=None)
@given(nets())
def test_random_nets_are_exact(case: tuple[Net, Integers]) -> None:
    assert_exact(*case)


def small_weights(shape: tuple[int, ...], generator: np.random.Generator) -> Integers:
    return np.clip(np.rint(generator.normal(0, 20, shape)), -127, 127).astype(np.int64)


def scale_net(channels: int, outputs: int) -> Net:
    """The shape of a hyperprior's scale network: two doublings and the table index."""
    generator = np.random.default_rng(3)
    layers = []
    for i in range(2):
        weight = small_weights((channels, 5, 5, channels), generator)
        multiplier = np.full(channels, 2**20)
        epilogue = Requantise(multiplier, 0 * multiplier, np.full(channels, 23 + 4 * i), 0, 255)
        layers.append(Layer(True, 2, 2, 1, 1, generator.integers(-999, 999, channels), weight, epilogue))
    weight = small_weights((outputs, 3, 3, channels), generator)
    thresholds = np.sort(generator.integers(-(2**16), 2**16, (outputs, 63)), axis=1)
    layers.append(Layer(False, 1, 1, 0, 1, generator.integers(-999, 999, outputs), weight, Index(thresholds)))
    return Net(-64, 63, layers)


def test_a_net_of_real_size_is_exact_on_threads() -> None:
    """Large enough that work is really shared: the property above runs on one thread, whatever it asks for."""
    values = np.random.default_rng(4).integers(-8, 9, (24, 4, 6))
    net = scale_net(24, 40)
    assert len(np.unique(reference.run(net, values))) > 40
    assert_exact(net, values)


def one_output(weight: Integers, bias: int, *, low: int, high: int, transposed: bool = False) -> Net:
    """A 1-channel-out layer with thresholds right at the ends of 32 bits, so that a wrapped sum shows."""
    ends = [INT32_MIN, INT32_MIN + 1, -1, 0, 1, INT32_MAX - 1, INT32_MAX]
    padding = weight.shape[1] // 2
    layer = Layer(transposed, 1, padding, 0, 2, np.array([bias]), weight, Index(np.array([ends])))
    return Net(low, high, [layer])


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("end", [INT32_MIN, INT32_MAX])
@pytest.mark.parametrize(("low", "high"), [(-32768, 32767), (-1000, 2000), (5, 4095), (-77, -3), (0, 0)])
def test_the_proof_is_tight(transposed: bool, end: int, low: int, high: int) -> None:
    """A bias that lets the accumulator just reach an end of 32 bits is taken, and reached; one more is refused."""
    weight = np.random.default_rng(5).integers(-100, 100, (1, 3, 3, 30))
    net = one_output(weight, 0, low=low, high=high, transposed=transposed)
    lowest, highest = reference.accumulator_bounds(net.layers[0], low, high)
    bias = end - int((lowest if end < 0 else highest)[0])
    step = -1 if end < 0 else 1

    net = one_output(weight, bias, low=low, high=high, transposed=transposed)
    kernel = weight[0, ::-1, ::-1] if transposed else weight[0]
    extreme = np.where((kernel > 0) == (end > 0), high, low).transpose(2, 0, 1)
    if low <= 0 <= high:
        assert reference.accumulate(net.layers[0], extreme)[0, 1, 1] == end
    assert_exact(net, extreme)
    if INT32_MIN <= bias + step <= INT32_MAX:
        with pytest.raises(BadModel, match="32 bits"):
            NativeNet(reference.net_bytes(one_output(weight, bias + step, low=low, high=high, transposed=transposed)))


def test_a_pair_of_products_that_overflows_alone_is_exact() -> None:
    """Two products of 2^30 leave 32 bits before the bias brings them back; vpmaddwd has only this one case."""
    weight = np.full((1, 1, 1, 2), -32768)
    assert_exact(one_output(weight, -1, low=-32768, high=32767), np.full((2, 3, 9), -32768))
    with pytest.raises(BadModel, match="32 bits"):
        NativeNet(reference.net_bytes(one_output(weight, 0, low=-32768, high=32767)))


def test_the_proof_uses_the_bounds_of_the_layer_before() -> None:
    def net(high: int) -> Net:
        multiplier = np.array([1])
        first = Layer(False, 1, 0, 0, 1, np.array([0]), np.ones((1, 1, 1, 1), int),
                      Requantise(multiplier, multiplier, np.array([1]), -3, high))  # fmt: skip
        second = Layer(False, 1, 0, 0, 2, np.array([2**31 - 1 - 32767 * 100]), np.full((1, 1, 1, 1), 32767),
                       Index(np.array([[0]])))  # fmt: skip
        return Net(-200, 200, [first, second])

    assert_exact(net(100), np.arange(-200, 201)[None, None])
    with pytest.raises(BadModel, match="32 bits"):
        NativeNet(reference.net_bytes(net(101)))


SUMS = np.array([INT32_MIN, INT32_MIN + 1, -65537, -3, -2, -1, 0, 1, 2, 3, 65537, INT32_MAX - 1, INT32_MAX])


def assert_finish_is_exact(sums: Integers, epilogue: Requantise | Index) -> None:
    """The epilogue alone: with weights of zero a bias is the accumulator, and may be any number."""
    weight = np.zeros((len(sums), 1, 1, 1), np.int64)
    net = Net(0, 0, [Layer(False, 1, 0, 0, 1, sums, weight, epilogue)])
    assert_exact(net, np.zeros((1, 3, 3), np.int64))


@pytest.mark.parametrize("shift", [1, 2, 31, 32, 33, 61, 62])
def test_requantisation_rounds_alike_at_every_shift(shift: int) -> None:
    extremes = [INT32_MIN, INT32_MIN + 1, -(2**16), -1, 0, 1, 3, 2**16, INT32_MAX]
    sums, positive, negative = (grid.ravel() for grid in np.meshgrid(SUMS, extremes, extremes))
    assert_finish_is_exact(sums, Requantise(positive, negative, np.full(sums.shape, shift), -32768, 32767))


@pytest.mark.parametrize("thresholds", [1, 62, 63, 64, 255])
def test_thresholds_may_repeat_and_lie_on_the_sums(thresholds: int) -> None:
    generator = np.random.default_rng(6)
    drawn = generator.choice(SUMS, (20 * len(SUMS), thresholds))
    assert_finish_is_exact(np.tile(SUMS, 20), Index(np.sort(drawn, axis=1)))


@pytest.mark.parametrize("geometry", [(True, 9, 4, 2, 3), (True, 7, 7, 6, 0), (True, 4, 4, 0, 0), (False, 9, 2, 8, 0)])
def test_unusual_windows_are_exact(geometry: tuple[bool, int, int, int, int]) -> None:
    generator = np.random.default_rng(7)
    for sides in ((1, 1), (1, 7), (5, 2)):
        if min(output_side(side, geometry) for side in sides) > 0:
            net = Net(-9, 200, [random_layer(generator, (3, 33), geometry, (-9, 200), 63)])
            assert_exact(net, generator.integers(-9, 201, (3, *sides)))
