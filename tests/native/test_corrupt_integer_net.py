"""A net that breaks the format is refused with a reason; a damaged one is refused or runs, but never misbehaves."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgecodec.errors import BadModel, EdgecodecError, InvalidArgument, LimitExceeded
from support.native_net import NativeNet
from support.reference_integer_net import AnyLayer, Crop, Index, Layer, Net, PixelShuffle, Requantise, Table, net_bytes

ONES = np.ones(2, np.int64)
REQUANTISE = Requantise(ONES, ONES, 8 * ONES, -100, 100)
UP = Layer(True, 2, 2, 1, 1, np.array([7, -7]), np.ones((2, 5, 5, 3), np.int64), REQUANTISE)
SAME = Layer(False, 1, 1, 0, 2, np.array([7, -7]), np.ones((2, 3, 3, 2), np.int64), Index(np.array([[-5, 5], [0, 9]])))
NET = Net(-50, 50, [UP, SAME])
TABLE = replace(SAME, epilogue=Table(REQUANTISE, np.arange(-100, 101)))

# Bytes of the head of the first layer, after low, high and the number of layers.
KIND, KERNEL, STRIDE, PADDING, OUTPUT_PADDING, WEIGHT_BYTES, INPUTS, OUTPUTS = 6, 7, 8, 9, 10, 11, 12, 14


def refused(data: bytes, why: str | None = None) -> None:
    with pytest.raises(BadModel, match=why) as caught:
        NativeNet(data)
    assert caught.value.offset is not None and 0 <= caught.value.offset <= len(data)


def test_the_net_these_tests_break_is_whole() -> None:
    assert NativeNet(net_bytes(NET)).shape(4, 6) == (2, 8, 12)


@pytest.mark.parametrize(
    ("at", "value", "why"),
    [
        (KIND, 4, "unknown kind"),
        (KERNEL, 1, "stride"),
        (KERNEL, 0, "stride"),
        (KERNEL, 15, "too early"),
        (KERNEL, 16, "kernel is too large"),
        (STRIDE, 0, "stride"),
        (STRIDE, 6, "stride"),
        (PADDING, 5, "padded"),
        (OUTPUT_PADDING, 2, "output padding"),
        (WEIGHT_BYTES, 0, "1 nor 2"),
        (WEIGHT_BYTES, 3, "1 nor 2"),
        (INPUTS, 0, "without channels"),
        (OUTPUTS, 0, "without channels"),
        (OUTPUTS + 1, 255, "too early"),
        (0, 51, "wrong way round"),
        (4, 0, "without layers"),
        (4, 3, "not the last"),
        (4, 1, "after its net"),
    ],
)
def test_a_broken_rule_is_named(at: int, value: int, why: str) -> None:
    data = bytearray(net_bytes(NET))
    if at == 0:
        data[0:2] = value.to_bytes(2, "little")
    else:
        data[at] = value
    refused(bytes(data), why)


@pytest.mark.parametrize(
    ("layers", "why"),
    [
        ([UP, replace(SAME, weight=np.ones((2, 3, 3, 3), np.int64))], "other channels"),
        ([SAME, SAME], "not the last"),
        ([UP, replace(SAME, output_padding=1)], "output padding"),
        ([replace(UP, epilogue=replace(REQUANTISE, shift=np.array([8, 0]))), SAME], "shift"),
        ([replace(UP, epilogue=replace(REQUANTISE, shift=np.array([63, 8]))), SAME], "shift"),
        ([replace(UP, epilogue=replace(REQUANTISE, low=101)), SAME], "wrong way round"),
        ([UP, replace(SAME, epilogue=Index(np.array([[0, 1], [1, 0]])))], "ascend"),
        ([UP, replace(SAME, epilogue=Index(np.zeros((2, 0), np.int64)))], "number of thresholds"),
        ([UP, replace(SAME, epilogue=Index(np.zeros((2, 256), np.int64)))], "number of thresholds"),
        ([UP, replace(SAME, bias=np.array([0, 2**31 - 1]))], "32 bits"),
        ([UP, replace(SAME, epilogue=Table(REQUANTISE, np.arange(-100, 100)))], "too early"),
        ([UP, replace(SAME, epilogue=Table(REQUANTISE, np.arange(-100, 102)))], "after its net"),
        ([UP, replace(SAME, epilogue=Table(replace(REQUANTISE, low=101), np.zeros(0, int)))], "wrong way round"),
        ([UP, SAME, Crop(0, 0, 0, 0, 2)], "not the last"),
        ([UP, PixelShuffle(0, 2)], "squares"),
        ([UP, PixelShuffle(2, 2)], "squares"),
        ([UP, PixelShuffle(255, 2)], "squares"),
        ([PixelShuffle(1, 0)], "without channels"),
        ([Crop(0, 0, 0, 0, 0)], "without channels"),
        ([UP, PixelShuffle(1, 3)], "other channels"),
        ([UP, Crop(0, 0, 0, 0, 3)], "other channels"),
    ],
)
def test_layers_that_must_be_refused(layers: list[AnyLayer], why: str) -> None:
    refused(net_bytes(Net(-50, 50, layers)), why)


def test_an_unknown_epilogue_is_refused() -> None:
    data = net_bytes(Net(-50, 50, [SAME]))
    epilogue = len(data) - (1 + 2 + 4 * 4)
    refused(data[:epilogue] + b"\3" + data[epilogue + 1 :], "unknown epilogue")


ONES = np.ones(8, int)
#: Every kind of layer but indices, from 3 channels to 2.
MIXED = Net(-50, 50, [Crop(0, 1, 0, 0, 3), replace(UP, bias=np.zeros(8, int), weight=np.ones((8, 5, 5, 3), int),
    epilogue=Requantise(ONES, ONES, np.full(8, 8), -100, 100)), PixelShuffle(2, 8), TABLE])  # fmt: skip


@pytest.mark.parametrize("net", [NET, MIXED])
def test_every_truncation_is_refused(net: Net) -> None:
    data = net_bytes(net)
    for size in range(len(data)):
        refused(data[:size])
    refused(data + b"\0", "after its net")


@pytest.mark.parametrize("net", [NET, MIXED])
def test_damage_is_refused_or_harmless(net: Net) -> None:
    """Any changed byte: a sanitizer build shows that what still opens also runs inside its buffers."""
    data = net_bytes(net)
    generator = np.random.default_rng(1)
    opened = 0
    for at in range(len(data)):
        for value in {0, 1, 127, 128, 255, int(generator.integers(256))} - {data[at]}:
            try:
                damaged = NativeNet(data[:at] + bytes([value]) + data[at + 1 :])
                damaged.run(np.zeros((3, 2, 3), np.int16), threads=2)
            except (BadModel, InvalidArgument):
                continue
            opened += 1
    assert opened > 100


def test_a_huge_net_is_refused_before_it_is_allocated() -> None:
    """Heads that promise up to 2^40 bytes, in files of a few bytes."""
    data = bytearray(net_bytes(NET))
    data[KERNEL] = 15
    data[INPUTS : OUTPUTS + 2] = b"\xff\xff\xff\xff"
    refused(bytes(data), "too early")


def test_shapes_that_no_net_can_take() -> None:
    valid = Layer(False, 1, 0, 0, 1, np.array([0, 0]), np.ones((2, 3, 3, 3), np.int64), REQUANTISE)
    net = NativeNet(net_bytes(Net(-50, 50, [valid])))
    assert net.shape(3, 4) == (2, 1, 2)
    with pytest.raises(BadModel, match="gives nothing"):
        net.shape(3, 2)
    with pytest.raises(InvalidArgument):
        net.shape(0, 5)
    with pytest.raises(LimitExceeded):
        net.shape(2**16, 2**16)
    with pytest.raises(LimitExceeded):
        net.shape(2**32 - 1, 3)


def test_a_side_may_be_2_to_the_24_and_no_more() -> None:
    """Of the input, of the output, and of the input with the zeros around it."""
    most = 1 << 24
    point = Layer(False, 1, 0, 0, 1, np.array([0, 0]), np.ones((2, 1, 1, 3), np.int64), REQUANTISE)
    doubled = replace(point, transposed=True, stride=2, weight=np.ones((2, 2, 2, 3), np.int64))
    padded = replace(point, padding=1, weight=np.ones((2, 3, 3, 3), np.int64))
    for layer, side, output in ((point, most, most), (doubled, most // 2, most), (padded, most - 2, most - 2)):
        net = NativeNet(net_bytes(Net(-50, 50, [layer])))
        assert net.shape(side, 1)[1] == net.shape(1, side)[2] == output
        for sides in ((side + 1, 1), (1, side + 1)):
            with pytest.raises(LimitExceeded):
                net.shape(*sides)


def test_a_transposed_convolution_may_crop_everything() -> None:
    cropped = replace(UP, stride=1, padding=4, output_padding=0)
    net = NativeNet(net_bytes(Net(-50, 50, [cropped])))
    assert net.shape(5, 6) == (2, 1, 2)
    for sides in ((4, 6), (1, 1)):
        with pytest.raises(BadModel, match="gives nothing"):
            net.shape(*sides)


def test_a_crop_may_cut_off_everything() -> None:
    net = NativeNet(net_bytes(Net(-50, 50, [Crop(2, 0, 1, 3, 3)])))
    assert net.shape(4, 5) == (3, 1, 2)
    for sides in ((3, 5), (4, 3), (1, 1)):
        with pytest.raises(BadModel, match="gives nothing"):
            net.shape(*sides)


@pytest.mark.parametrize("value", [-51, 51])
def test_inputs_outside_the_bounds_are_refused(value: int) -> None:
    """The proof holds for inputs within the bounds only."""
    values = np.zeros((3, 2, 2), np.int16)
    values[2, 1, 0] = value
    net = NativeNet(net_bytes(NET))
    with pytest.raises(InvalidArgument, match="bounds"):
        net.run(values)
    with pytest.raises(EdgecodecError):
        net.run(values // 2, threads=0)
