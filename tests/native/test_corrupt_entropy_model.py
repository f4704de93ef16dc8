"""An entropy model that breaks the format is refused with a reason; a damaged one is refused or does no harm."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from edgecodec.entropy_model import EntropyModel
from edgecodec.errors import BadModel, EdgecodecError, InternalError, UnsupportedVersion
from support.exactness import latent_shape
from support.reference_coder import Table
from support.reference_entropy_model import Add, Affine, Apply, Code, Concat, Model, Step, Tensor, model_bytes
from support.reference_integer_net import Crop, Index, Layer, Net, Requantise

TABLE = Table((2**14 - 300, 200, 99, 1))
OFFSETS = np.array([7, -7])
ONES = np.ones(2, np.int64)


def convolution(kernel: int, padding: int, stride: int = 1, *, transposed: bool = False, inputs: int = 2) -> Layer:
    weight = np.ones((2, kernel, kernel, inputs), np.int64)
    return Layer(transposed, stride, padding, 0, 1, OFFSETS, weight, Requantise(ONES, ONES, 3 * ONES, -50, 50))


def indexed(layer: Layer) -> Layer:
    return replace(layer, epilogue=Index(np.array([[-5, 5], [0, 9]])))


VALUES = Net(-100, 100, [convolution(3, 1)])
INDICES = Net(-100, 100, [indexed(convolution(3, 1, inputs=4))])
CODED, FIXED, MEAN, BOTH, TOTAL, INDEX, LAST = TENSORS = [
    Tensor("coded", 2, 8, decoder_latent=True),
    Tensor("fixed", 2, 8),
    Tensor("mean", 2, 8),
    Tensor("both", 4, 8),
    Tensor("total", 2, 8),
    Tensor("index", 2, 8, indices=True),
    Tensor("last", 2, 8, decoder_latent=True),
]
CODE = Code("coded", 0)
AFFINE = Affine("fixed", "coded", 2, OFFSETS, -90, 100)
APPLY = Apply("mean", "fixed", 0)
CONCAT = Concat("both", ["fixed", "mean"])
ADD = Add("total", "mean", "fixed", 3, -5, 2, -100, 100)
CHOOSE = Apply("index", "both", 1)
STEPS: list[Step] = [CODE, AFFINE, APPLY, CONCAT, ADD, CHOOSE, Code("last", 1, "index")]
MODEL = Model(16, TENSORS, [[TABLE] * 2, [TABLE] * 3], [VALUES, INDICES], STEPS)


def with_step(old: Step, new: Step) -> Model:
    return replace(MODEL, steps=[new if step is old else step for step in STEPS])


def with_tensor(old: Tensor, new: Tensor) -> Model:
    return replace(MODEL, tensors=[new if tensor is old else tensor for tensor in TENSORS])


def with_net(old: Net, new: Net) -> Model:
    return replace(MODEL, nets=[new if net is old else net for net in MODEL.nets])


def refused(data: bytes, why: str | None = None) -> None:
    with pytest.raises(BadModel, match=why) as caught:
        EntropyModel(data)
    assert caught.value.offset is not None and 0 <= caught.value.offset <= len(data)


def test_the_model_these_tests_break_is_whole() -> None:
    opened = EntropyModel(model_bytes(MODEL))
    assert [latent.name for latent in opened.encoder_latents] == ["coded", "last"]
    assert [latent.name for latent in opened.decoder_latents] == ["coded", "last"]


@pytest.mark.parametrize(
    ("model", "why"),
    [
        (with_step(AFFINE, replace(AFFINE, source="mean")), "not there"),
        (with_step(AFFINE, replace(AFFINE, source="fixed")), "not there"),
        (with_step(AFFINE, replace(AFFINE, destination="coded")), "yet to be defined"),
        (with_step(AFFINE, replace(AFFINE, destination="index")), "another type"),
        (with_step(AFFINE, replace(AFFINE, shift=15)), "shift"),
        (with_step(AFFINE, replace(AFFINE, low=101)), "wrong order"),
        (with_tensor(FIXED, replace(FIXED, stride=4)), "another shape"),
        (with_tensor(FIXED, replace(FIXED, channels=3)), "another shape"),
        (with_step(APPLY, replace(APPLY, net=2)), "a net that is not there"),
        (with_step(APPLY, replace(APPLY, source="index")), "not there"),
        (with_step(APPLY, replace(APPLY, destination="index")), "another type"),
        (with_step(APPLY, replace(APPLY, source="coded")), "held to the net's bounds"),
        (with_step(APPLY, replace(APPLY, net=1)), "another type"),
        (with_step(CHOOSE, replace(CHOOSE, net=0)), "another type"),
        (with_step(CHOOSE, replace(CHOOSE, source="fixed")), "does not fit"),
        (with_step(AFFINE, replace(AFFINE, high=101)), "held to the net's bounds"),
        (with_net(INDICES, replace(INDICES, low=-89)), "held to the net's bounds"),
        (with_net(INDICES, replace(INDICES, high=99)), "held to the net's bounds"),
        (with_step(CONCAT, replace(CONCAT, sources=[])), "joins no tensors"),
        (with_step(CONCAT, replace(CONCAT, sources=["fixed"])), "number of channels"),
        (with_step(CONCAT, replace(CONCAT, sources=["fixed", "mean", "mean"])), "number of channels"),
        (with_step(CONCAT, replace(CONCAT, sources=["fixed", "both"])), "not there"),
        (with_step(CONCAT, replace(CONCAT, sources=["fixed", "index"])), "not there"),
        (with_tensor(BOTH, replace(BOTH, stride=16)), "different extents"),
        (with_step(ADD, replace(ADD, second="both")), "different shapes"),
        (with_step(ADD, replace(ADD, first="both")), "different shapes"),
        (with_tensor(TOTAL, replace(TOTAL, stride=4)), "different shapes"),
        (with_step(ADD, replace(ADD, shift=0)), "shift"),
        (with_step(ADD, replace(ADD, shift=63)), "shift"),
        (with_step(ADD, replace(ADD, low=101)), "wrong order"),
        (with_step(STEPS[-1], Code("last", 1, "total")), "another type"),
        (with_step(STEPS[-1], Code("last", 0, "index")), "name no table"),
    ],
)
def test_a_broken_rule_is_named(model: Model, why: str) -> None:
    refused(model_bytes(model), why)


@pytest.mark.parametrize(
    ("from_end", "count", "why"),
    [
        (6, len(TENSORS), "names a tensor which is not there"),
        (4, len(MODEL.table_sets), "a table set that is not there"),
        (2, len(TENSORS), "names a tensor which is not there"),
    ],
    ids=["values", "table set", "indices"],
)
def test_a_reference_just_beyond_the_last_is_refused(from_end: int, count: int, why: str) -> None:
    """In the last step: what it codes, with which tables, chosen by which indices."""
    data = bytearray(model_bytes(MODEL))
    struct.pack_into("<H", data, len(data) - from_end, count)
    refused(bytes(data), why)


#: Offsets of the fields of the head and of the first tensor (docs/format.md, section 3).
LAYOUT, RESERVED, TENSOR_TYPE, DECODER_LATENT = 4, 6, 20, 21


@pytest.mark.parametrize(
    ("at", "value", "why"),
    [
        *((RESERVED + byte, value, "reserved field") for byte in (0, 1) for value in (1, 2, 128, 255)),
        *((field, value, "unknown type") for field in (TENSOR_TYPE, DECODER_LATENT) for value in (2, 3, 128, 255)),
    ],
)
def test_a_field_without_a_meaning_yet_is_refused(at: int, value: int, why: str) -> None:
    data = model_bytes(MODEL)
    refused(data[:at] + bytes([value]) + data[at + 1 :], why)


@pytest.mark.parametrize("layout", [0, 2, 3, 257, 65535])
def test_another_layout_is_refused_as_such(layout: int) -> None:
    data = model_bytes(MODEL)
    with pytest.raises(UnsupportedVersion, match="layout"):
        EntropyModel(data[:LAYOUT] + struct.pack("<H", layout) + data[LAYOUT + 2 :])


@pytest.mark.parametrize("byte", [b"\0", b"\n", b"\x7f", b"\x80", b"\xff"])
def test_a_name_that_is_not_printable_ascii_is_refused(byte: bytes) -> None:
    refused(model_bytes(MODEL).replace(b"coded", b"cod" + byte + b"d"), "name")


def test_an_unknown_step_is_refused() -> None:
    data = model_bytes(replace(MODEL, steps=[]))
    data = data[:18] + struct.pack("<H", 1) + data[20:]
    refused(data + b"\x09", "unknown kind")


@pytest.mark.parametrize(
    ("layers", "sides", "fits"),
    [
        ([convolution(3, 1)], (4, 4), True),
        ([convolution(3, 0)], (4, 4), False),
        ([convolution(3, 0), convolution(3, 2)], (4, 4), True),
        ([convolution(4, 1, 2)], (4, 2), True),
        ([convolution(3, 1, 2, transposed=True)], (2, 4), False),
        ([convolution(3, 0, 2, transposed=True), Crop(0, 1, 1, 0, 2)], (2, 4), True),
        ([convolution(3, 0, 2, transposed=True), Crop(1, 1, 1, 0, 2)], (2, 4), False),
        ([convolution(3, 0, 2, transposed=True), Crop(0, 1, 1, 1, 2)], (2, 4), False),
        ([Crop(1, 0, 0, 1, 2), convolution(3, 0, 2, transposed=True), Crop(1, 0, 0, 1, 2)], (2, 4), False),
        # Nothing is left of a picture of one unit on the way; of two units there is.
        ([Crop(2, 2, 0, 0, 2), convolution(5, 0), *[convolution(3, 2)] * 3], (6, 6), False),
        ([Crop(2, 2, 0, 0, 2), convolution(5, 0), *[convolution(3, 2)] * 3], (7, 7), True),
        # Two rows of five and four of ten, but seven of fifteen: larger than a picture of three units has room for.
        ([convolution(3, 0, 2)], (5, 2), False),
        ([convolution(3, 1, 2)], (5, 2), False),
    ],
)
def test_nets_must_keep_the_extents_of_all_pictures(
    layers: Sequence[Layer | Crop], sides: tuple[int, int], fits: bool
) -> None:
    """sides: rows of the net's input and output a unit of the alignment."""
    alignment = sides[0] * sides[1]
    strides = [alignment // side for side in (sides[0], *sides)]
    tensors = [Tensor(name, 2, stride, decoder_latent=True) for name, stride in zip("abc", strides, strict=True)]
    steps: list[Step] = [Code("a", 0), Affine("b", "a", 0, OFFSETS, -50, 50), Apply("c", "b", 0)]
    data = model_bytes(Model(alignment, tensors, [[TABLE] * 2], [Net(-50, 50, layers)], steps))
    if not fits:
        refused(data, "another extent")
        return
    latents = {"a": np.ones((2, 3 * sides[0], 5 * sides[0]), np.int16)}
    EntropyModel(data).encode(latents, width=5 * alignment, height=3 * alignment)


def test_sides_that_grow_without_end_are_refused() -> None:
    """22 layers that each enlarge a side 8 times leave 64 bits."""
    grown = Net(-50, 50, [convolution(8, 0, 8, transposed=True)] * 22)
    tensors = [Tensor(name, 2, 1, decoder_latent=True) for name in "abc"]
    steps: list[Step] = [Code("a", 0), Affine("b", "a", 0, OFFSETS, -50, 50), Apply("c", "b", 0)]
    refused(model_bytes(Model(1, tensors, [[TABLE] * 2], [grown], steps)), "another extent")


@pytest.mark.parametrize(("more", "why"), [(0, "more memory than it may use"), (1, "another extent")])
def test_a_side_of_one_unit_may_be_2_to_the_24_and_no_more(more: int, why: str) -> None:
    """8^8 = 2^24. Behind it the sides shrink to what they were, so that nothing else is wrong with the extent."""
    up, down = convolution(8, 0, 8, transposed=True), convolution(8, 0, 8)
    wider: list[Layer | Crop] = [convolution(2, 0, transposed=True), Crop(0, 0, 1, 1, 2)]
    net = Net(-50, 50, [*[up] * 8, *wider * more, *[down] * 8])
    tensors = [Tensor(name, 2, 1, decoder_latent=True) for name in "abc"]
    steps: list[Step] = [Code("a", 0), Affine("b", "a", 0, OFFSETS, -50, 50), Apply("c", "b", 0)]
    refused(model_bytes(Model(1, tensors, [[TABLE] * 2], [net], steps)), why)


def wide(channels: int, layers: int, kernel: int) -> Model:
    """Codes a tensor at full size and runs a net of so many layers on it."""
    numbers = np.ones(channels, np.int64)
    requantise = Requantise(numbers, numbers, 3 * numbers, -50, 50)
    weight = np.ones((channels, kernel, kernel, channels), np.int64)
    layer = Layer(False, 1, kernel // 2, 0, 1, 0 * numbers, weight, requantise)
    tensors = [Tensor(name, channels, 1, decoder_latent=name != "fixed") for name in ("coded", "fixed", "seen")]
    steps: list[Step] = [Code("coded", 0), Affine("fixed", "coded", 0, 0 * numbers, -50, 50), Apply("seen", "fixed", 0)]
    return Model(64, tensors, [[TABLE] * channels], [Net(-50, 50, [layer] * layers)], steps)


def test_a_model_that_takes_much_memory_for_a_pixel_is_refused() -> None:
    """Three tensors of 4 bytes a value, and the activations of the net: 16 channels fit into 256 bytes, 22 do not."""
    EntropyModel(model_bytes(wide(16, 1, 1)))
    refused(model_bytes(wide(22, 1, 1)), "too much memory for each pixel")


def test_a_model_that_works_long_for_a_pixel_is_refused() -> None:
    """16 to 16 channels by 15x15 are 57,600 multiplications a layer, of 2^20 that are allowed."""
    EntropyModel(model_bytes(wide(16, 18, 15)))
    refused(model_bytes(wide(16, 19, 15)), "too much work for each pixel")


def test_an_alignment_beyond_those_of_known_codecs_is_refused() -> None:
    tensors = [Tensor("coded", 2, 1, decoder_latent=True)]
    for alignment, opens in ((1, True), (64, True), (65, False), (128, False), (4096, False)):
        data = model_bytes(Model(alignment, tensors, [[TABLE] * 2], [], [Code("coded", 0)]))
        if opens:
            EntropyModel(data)
        else:
            refused(data, "alignment out of range")


@pytest.mark.parametrize(("width", "height"), [(1, 1), (16, 16), (40, 20), (500, 300)])
def test_the_cost_is_that_of_its_parts(width: int, height: int) -> None:
    """Multiplications of every convolution, one for each value that is moved, 16 for each symbol that is coded."""
    cost = EntropyModel(model_bytes(MODEL)).cost(width, height)
    positions = (-(-width // 16) * 2) * (-(-height // 16) * 2)
    moved = {"fixed": 2, "mean": 2, "both": 4, "total": 2, "index": 2}
    convolutions = 2 * 2 * 9 + 2 * 4 * 9
    assert cost.multiplications == positions * (sum(moved.values()) + 16 * (2 + 2) + convolutions)
    # At the net for the indices: both latents so far, the values that are read again, and its padded input.
    assert 4 * positions * (2 + 4) <= cost.bytes <= 4 * positions * 14 + 2 * 64 * (positions**0.5 + 9) ** 2


def test_a_tensor_that_no_step_reads_is_held_for_its_own_step_only() -> None:
    unread, latent = Tensor("unread", 2, 1), Tensor("latent", 2, 1, decoder_latent=True)
    alone = Model(1, [latent], [[TABLE] * 2], [], [Code("latent", 0)])
    both = Model(1, [unread, latent], [[TABLE] * 2], [], [Code("unread", 0), Code("latent", 0)])
    costs = [EntropyModel(model_bytes(model)).cost(64, 64) for model in (alone, both)]
    assert costs[1].bytes == costs[0].bytes and costs[1].multiplications == 2 * costs[0].multiplications


def test_every_truncation_is_refused() -> None:
    data = model_bytes(MODEL)
    for size in range(len(data)):
        refused(data[:size])
    refused(data + b"\0", "goes on")


def test_damage_is_refused_or_harmless() -> None:
    """Any changed byte: a sanitizer build shows that what still opens also runs inside its buffers."""
    data = model_bytes(MODEL)
    generator = np.random.default_rng(1)
    opened = 0
    for at in range(len(data)):
        for value in {0, 1, 2, 4, 127, 128, 255, data[at] ^ 1, int(generator.integers(256))} - {data[at]}:
            try:
                model = EntropyModel(data[:at] + bytes([value]) + data[at + 1 :])
                latents = {
                    each.name: generator.integers(-9, 9, latent_shape(each, model.alignment, 20, 40)).astype(np.int16)
                    for each in model.encoder_latents
                }
                payload, lanes = model.encode(latents, width=20, height=40, threads=2)
                decoded = model.decode(payload, width=20, height=40, lanes=lanes)
            except InternalError:
                raise
            except EdgecodecError:
                continue
            opened += 1
            assert all(np.array_equal(latents[name], values) for name, values in decoded.items() if name in latents)
    assert opened > 300
