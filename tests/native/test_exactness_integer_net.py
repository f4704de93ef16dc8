"""Integer nets give the same integers whatever kernels, threads and shapes: those of the plain reference."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from edgecodec import native
from edgecodec.errors import BadModel
from support import reference_integer_net as reference
from support.native_net import NativeNet
from support.random_layers import random_bounds, random_layer
from support.reference_integer_net import (
    INT32_MAX,
    INT32_MIN,
    AnyLayer,
    Crop,
    Epilogue,
    Index,
    Integers,
    Layer,
    Net,
    PixelShuffle,
    Requantise,
    Table,
)


@pytest.fixture(autouse=True)
def _restore_kernels() -> Iterator[None]:
    chosen = native.kernels()
    yield
    native.force_kernels(chosen)


def assert_exact(net: Net, values: Integers) -> None:
    """Every kernel and number of threads gives the reference's output."""
    expected = reference.run(net, values)
    for kernels in native.kernels_available():
        native.force_kernels(kernels)
        opened = NativeNet(reference.net_bytes(net))
        assert opened.shape(*values.shape[1:]) == expected.shape
        for threads in (1, 2, 5, 1000):
            np.testing.assert_array_equal(opened.run(values, threads), expected, f"{kernels}, {threads} threads")


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
def rearrangements(draw: st.DrawFn, channels: int, sides: tuple[int, int]) -> tuple[AnyLayer, int, tuple[int, int]]:
    """A layer that moves values, with the channels and sides of its output."""
    factors = [factor for factor in (1, 2, 3) if channels % factor**2 == 0 and max(sides) * factor <= 40]
    if draw(st.booleans()) and factors:
        factor = draw(st.sampled_from(factors))
        return PixelShuffle(factor, channels), channels // factor**2, (sides[0] * factor, sides[1] * factor)
    top, left = (draw(st.integers(0, side - 1)) for side in sides)
    bottom, right = draw(st.integers(0, sides[0] - top - 1)), draw(st.integers(0, sides[1] - left - 1))
    return Crop(top, left, bottom, right, channels), channels, (sides[0] - top - bottom, sides[1] - left - right)


@st.composite
def nets(draw: st.DrawFn) -> tuple[Net, Integers]:
    """A net and an input for it, of up to four layers and any mixture of geometries."""
    generator = np.random.default_rng(draw(st.integers(0, 2**32)))
    rows, columns = draw(st.integers(1, 9)), draw(st.integers(1, 20))
    low, high = random_bounds(generator)
    thresholds = draw(st.sampled_from([0, 1, 2, 31, 62, 63, 64, 126, 127, 255]))
    inputs = draw(st.integers(1, 20))

    layers: list[AnyLayer] = []
    channels, sides, bounds = inputs, (rows, columns), (low, high)
    moves = draw(st.lists(st.booleans(), min_size=1, max_size=4))
    for i, move in enumerate(moves):
        layer: AnyLayer
        if move:
            layer, channels, sides = draw(rearrangements(channels, sides))
        else:
            geometry = draw(geometries(sides))
            ends = (channels, draw(st.integers(1, 20)))
            last = i + 1 == len(moves)
            layer = random_layer(generator, ends, geometry, bounds, thresholds if last else 0, draw(st.integers(1, 2)))
            channels, sides = ends[1], (output_side(sides[0], geometry), output_side(sides[1], geometry))
        bounds = reference.output_bounds(layer, *bounds)
        layers.append(layer)
    return Net(low, high, layers), generator.integers(low, high + 1, (inputs, rows, columns))


@settings(max_examples=250)
@given(nets())
def test_random_nets_are_exact(case: tuple[Net, Integers]) -> None:
    assert_exact(*case)


BYTE_BOUNDS = [(0, 255), (-128, 127), (-255, 0), (3, 200), (-200, -3), (0, 256), (-1, 255), (5, 256), (-256, -5)]


@pytest.mark.parametrize("bounds", BYTE_BOUNDS)
@pytest.mark.parametrize("geometry", [(False, 3, 1, 2, 0), (False, 4, 2, 1, 0), (True, 5, 2, 2, 1)])
def test_activations_of_a_byte_are_exact(bounds: tuple[int, int], geometry: tuple[bool, int, int, int, int]) -> None:
    """Around the limit between bytes and words, with zeros at the borders, which bounds need not include."""
    generator = np.random.default_rng(8)
    for columns in (2, 5, 26):
        net = Net(*bounds, [random_layer(generator, (7, 50), geometry, bounds, weight_bytes=1)])
        assert_exact(net, generator.integers(bounds[0], bounds[1] + 1, (7, 3, columns)))


@pytest.mark.parametrize(("low", "high"), [(0, 255), (-128, 127), (-255, 0)])
@pytest.mark.parametrize("weight", [127, -128])
def test_the_largest_bytes_do_not_saturate(low: int, high: int, weight: int) -> None:
    """Sums of two such products leave 16 bits, which some instructions would cut off."""
    weights = np.full((40, 3, 3, 33), weight)
    thresholds = np.arange(-(2**24), 2**24, 2**18)[None].repeat(40, axis=0)
    net = Net(low, high, [Layer(False, 1, 1, 0, 1, np.arange(40), weights, Index(thresholds))])
    values = np.random.default_rng(9).choice([low, high], (33, 4, 15), p=[0.1, 0.9])
    assert_exact(net, values)
    assert_exact(net, low + high - values)


@pytest.mark.parametrize("columns", range(1, 40))
def test_every_width_of_a_row_is_exact(columns: int) -> None:
    """Kernels take a row in tiles, whose number and size depend on its width; one, two and three blocks of channels."""
    generator = np.random.default_rng(columns)
    for outputs in (3, 32, 40):
        for weight_bytes in (1, 2):
            layer = random_layer(generator, (5, outputs), (False, 3, 1, 1, 0), (-9, 99), weight_bytes=weight_bytes)
            assert_exact(Net(-9, 99, [layer]), generator.integers(-9, 100, (5, 2, columns)))


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
    values = np.random.default_rng(4).integers(-8, 9, (24, 8, 12))
    net = scale_net(24, 40)
    assert len(np.unique(reference.run(net, values))) > 40
    assert_exact(net, values)


def one_output(
    weight: Integers, bias: int, *, low: int, high: int, transposed: bool = False, weight_bytes: int = 2
) -> Net:
    """A 1-channel-out layer with thresholds right at the ends of 32 bits, so that a wrapped sum shows."""
    ends = [INT32_MIN, INT32_MIN + 1, -1, 0, 1, INT32_MAX - 1, INT32_MAX]
    padding = weight.shape[1] // 2
    layer = Layer(transposed, 1, padding, 0, weight_bytes, np.array([bias]), weight, Index(np.array([ends])))
    return Net(low, high, [layer])


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("end", [INT32_MIN, INT32_MAX])
@pytest.mark.parametrize("weight_bytes", [1, 2])
@pytest.mark.parametrize(
    ("low", "high"), [(-32768, 32767), (-1000, 2000), (5, 4095), (-77, -3), (0, 0), (0, 255), (-128, 127), (-255, 0)]
)
def test_the_proof_is_tight(transposed: bool, end: int, weight_bytes: int, low: int, high: int) -> None:
    """A bias that lets the accumulator just reach an end of 32 bits is taken, and reached; one more is refused."""
    weight = np.random.default_rng(5).integers(-100, 100, (1, 3, 3, 30))

    def net(bias: int) -> Net:
        return one_output(weight, bias, low=low, high=high, transposed=transposed, weight_bytes=weight_bytes)

    def layer(bias: int) -> reference.Layer:
        (layer,) = net(bias).layers
        assert isinstance(layer, reference.Layer)
        return layer

    lowest, highest = reference.accumulator_bounds(layer(0), low, high)
    bias = end - int((lowest if end < 0 else highest)[0])
    step = -1 if end < 0 else 1

    kernel = weight[0, ::-1, ::-1] if transposed else weight[0]
    extreme = np.where((kernel > 0) == (end > 0), high, low).transpose(2, 0, 1)
    if low <= 0 <= high:
        assert reference.accumulate(layer(bias), extreme)[0, 1, 1] == end
    assert_exact(net(bias), extreme)
    if INT32_MIN <= bias + step <= INT32_MAX:
        with pytest.raises(BadModel, match="32 bits"):
            NativeNet(reference.net_bytes(net(bias + step)))


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


def assert_finish_is_exact(sums: Integers, epilogue: Epilogue) -> None:
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


@pytest.mark.parametrize(("low", "high"), [(-32768, 32767), (0, 0), (-128, 127), (-5, 300)])
def test_tables_are_read_at_both_ends(low: int, high: int) -> None:
    """A table of 16-bit entries, none like another where there are few enough, for sums far beyond both bounds too."""
    sums = np.concatenate([SUMS, np.arange(2 * low - 3, 2 * low + 4), np.arange(2 * high - 3, 2 * high + 4)])
    entries = np.random.default_rng(10).permutation(2**16)[: high - low + 1] - 2**15
    ones = np.ones(len(sums), np.int64)
    assert_finish_is_exact(sums, Table(Requantise(ones, ones, ones, low, high), entries))


def test_the_proof_uses_the_range_of_the_table() -> None:
    """Entries bound the next layer's input, not the numbers that they are read by."""

    def net(entries: list[int]) -> Net:
        one = np.array([1])
        table = Table(Requantise(one, one, one, 0, len(entries) - 1), np.array(entries))
        first = Layer(False, 1, 0, 0, 1, np.array([0]), np.ones((1, 1, 1, 1), int), table)
        second = Layer(False, 1, 0, 0, 2, np.array([2**31 - 1 - 32767 * 100]), np.full((1, 1, 1, 1), 32767),
                       Index(np.array([[0]])))  # fmt: skip
        return Net(-20, 20, [first, second])

    assert_exact(net([-32768, 100, 5]), np.arange(-20, 21)[None, None])
    with pytest.raises(BadModel, match="32 bits"):
        NativeNet(reference.net_bytes(net([0, 101])))


def test_a_pixel_shuffle_puts_channels_where_pytorch_does() -> None:
    net = Net(0, 100, [PixelShuffle(2, 8)])
    values = np.arange(8 * 6).reshape(8, 2, 3)
    assert_exact(net, values)
    shuffled = NativeNet(reference.net_bytes(net)).run(values)
    for channel, row, column in ((0, 0, 0), (1, 0, 1), (0, 3, 4), (1, 2, 5)):
        source = values[4 * channel + 2 * (row % 2) + column % 2, row // 2, column // 2]
        assert shuffled[channel, row, column] == source


@pytest.mark.parametrize("geometry", [(True, 9, 4, 2, 3), (True, 7, 7, 6, 0), (True, 4, 4, 0, 0), (False, 9, 2, 8, 0)])
def test_unusual_windows_are_exact(geometry: tuple[bool, int, int, int, int]) -> None:
    generator = np.random.default_rng(7)
    for sides in ((1, 1), (1, 7), (5, 2)):
        if min(output_side(side, geometry) for side in sides) > 0:
            net = Net(-9, 200, [random_layer(generator, (3, 33), geometry, (-9, 200), 63)])
            assert_exact(net, generator.integers(-9, 201, (3, *sides)))
