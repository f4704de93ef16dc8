"""The steps between coded tensors give the same integers on every kernel and thread: those of the plain reference."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest
import reference_entropy_model as reference
from hypothesis import given, settings
from hypothesis import strategies as st
from random_layers import random_bounds, random_layer
from reference_coder import Table
from reference_entropy_model import Add, Affine, Apply, Code, Concat, Model, Step, Tensor
from reference_integer_net import AnyLayer, Crop, Index, Layer, Net, PixelShuffle, output_bounds

from edgecodec import native
from edgecodec.entropy import EntropyModel, Latents

ALIGNMENT = 16
TABLE = Table((2**14 - 300, 200, 99, 1), mode=-1)  # which can carry every value of 16 bits
Random = np.random.Generator


@pytest.fixture(autouse=True)
def _restore_kernels() -> Iterator[None]:
    chosen = native.kernels()
    yield
    native.force_kernels(chosen)


def assert_exact(model: Model, latents: Latents, width: int, height: int) -> None:
    """Every kernel and number of threads picks the reference's tables, and decodes what it encoded."""
    expected = reference.run(model, {name: values.astype(np.int64) for name, values in latents.items()})
    for kernels in native.kernels_available():
        native.force_kernels(kernels)
        opened = EntropyModel(reference.model_bytes(model))
        for threads in (1, 3):
            for step in model.steps:
                if isinstance(step, Code) and step.indices is not None:
                    found = opened.indices(latents, step.tensor, width=width, height=height, threads=threads)
                    np.testing.assert_array_equal(found, expected[step.indices], f"{kernels}, {threads} threads")
        payload, lanes = opened.encode(latents, width=width, height=height)
        decoded = opened.decode(payload, width=width, height=height, lanes=lanes)
        for name, values in latents.items():
            np.testing.assert_array_equal(decoded[name], values)


@dataclass(frozen=True)
class Known:
    """A tensor of values that steps may read, and its bounds."""

    tensor: Tensor
    low: int
    high: int


class Builder:
    """Grows a model step by step; only steps that the format allows."""

    def __init__(self, generator: Random) -> None:
        self.generator = generator
        self.tensors: list[Tensor] = []
        self.tables: list[list[Table]] = []
        self.nets: list[Net] = []
        self.steps: list[Step] = []
        self.values: list[Known] = []

    def tensor(self, channels: int, stride: int, indices: bool = False) -> Tensor:
        self.tensors.append(Tensor(f"t{len(self.tensors)}", channels, stride, indices))
        return self.tensors[-1]

    def add(self, step: Step, known: Known) -> None:
        self.steps.append(step)
        self.values.append(known)

    def code_by_channel(self, channels: int, stride: int) -> None:
        tensor = self.tensor(channels, stride)
        self.tables.append([TABLE] * channels)
        self.add(Code(tensor.name, len(self.tables) - 1), Known(tensor, -(2**15), 2**15 - 1))

    def affine(self, source: Known) -> None:
        tensor = self.tensor(source.tensor.channels, source.tensor.stride)
        offsets = self.generator.integers(-(2 ** int(self.generator.integers(1, 31))), 2**30, tensor.channels)
        low, high = random_bounds(self.generator)
        shift = int(self.generator.integers(0, 15))
        self.add(Affine(tensor.name, source.tensor.name, shift, offsets, low, high), Known(tensor, low, high))

    def concat(self, sources: list[Known]) -> None:
        tensor = self.tensor(sum(source.tensor.channels for source in sources), sources[0].tensor.stride)
        low, high = min(source.low for source in sources), max(source.high for source in sources)
        self.add(Concat(tensor.name, [source.tensor.name for source in sources]), Known(tensor, low, high))

    def sum(self, first: Known, second: Known) -> None:
        tensor = self.tensor(first.tensor.channels, first.tensor.stride)
        low, high = random_bounds(self.generator)
        multipliers = self.generator.integers(-(2**31), 2**31, 2) >> self.generator.integers(0, 31, 2)
        shift = int(np.clip(np.log2(np.abs(multipliers).max() + 1).astype(int) + self.generator.integers(-3, 9), 1, 62))
        ends = (first.tensor.name, second.tensor.name)
        step = Add(tensor.name, *ends, int(multipliers[0]), int(multipliers[1]), shift, low, high)
        self.add(step, Known(tensor, low, high))

    def apply(self, source: Known, shape: str, channels: int, thresholds: int = 0) -> None:
        """A net of one change of size; with thresholds its result is coded with."""
        stride = source.tensor.stride
        bounds = (source.low, source.high)
        layers: list[AnyLayer] = []

        def convolve(channels: int, geometry: tuple[bool, int, int, int, int], thresholds: int = 0) -> None:
            inputs = layers[-1].weight.shape[0] if layers else source.tensor.channels
            low, high = output_bounds(layers[-1], *bounds) if layers else bounds
            weight_bytes = int(self.generator.integers(1, 3))
            ends = (inputs, channels)
            layers.append(random_layer(self.generator, ends, geometry, (low, high), thresholds, weight_bytes))

        if thresholds:
            convolve(channels, (False, 3, 1, 1, 0), thresholds)
        elif shape == "same":
            convolve(channels, (False, 3, 1, 1, 0))
            convolve(channels, (False, 1, 1, 0, 0))
        elif shape == "up":
            convolve(channels, (True, 5, 2, 2, 1))
            stride //= 2
        elif shape == "down":
            convolve(channels, (False, 3, 2, 1, 0))
            stride *= 2
        elif shape == "shuffle":
            convolve(4 * channels, (False, 1, 1, 0, 0))
            layers.append(PixelShuffle(2, 4 * channels))
            stride //= 2
        else:
            convolve(channels, (True, 3, 2, 0, 0))
            layers.append(Crop(1, 0, 0, 1, channels))
            stride //= 2
        for layer in layers:
            low, high = output_bounds(layer, *bounds)
            bounds = (low, high)
        self.nets.append(Net(source.low, source.high, layers))
        tensor = self.tensor(channels, stride, thresholds > 0)
        step = Apply(tensor.name, source.tensor.name, len(self.nets) - 1)
        if not thresholds:
            self.add(step, Known(tensor, *bounds))
            return
        self.steps.append(step)
        self.tables.append([TABLE] * (thresholds + 1))
        coded = self.tensor(channels, stride)
        self.add(Code(coded.name, len(self.tables) - 1, tensor.name), Known(coded, -(2**15), 2**15 - 1))

    def model(self) -> Model:
        return Model(ALIGNMENT, self.tensors, self.tables, self.nets, self.steps)


@st.composite
def models(draw: st.DrawFn) -> Model:
    """Two coded tensors with a few random steps between, each of which may read anything before it."""
    builder = Builder(np.random.default_rng(draw(st.integers(0, 2**32))))
    builder.code_by_channel(draw(st.integers(1, 5)), draw(st.sampled_from([4, 8, 16])))
    for kind in draw(st.lists(st.sampled_from(["affine", "net", "net", "concat", "sum"]), min_size=1, max_size=7)):
        source = draw(st.sampled_from(builder.values))
        stride, channels = source.tensor.stride, source.tensor.channels
        beside = [other for other in builder.values if other.tensor.stride == stride and other.tensor.channels <= 20]
        alike = [other for other in beside if other.tensor.channels == channels]
        if kind == "affine":
            builder.affine(source)
        elif kind == "concat":
            builder.concat([source, *draw(st.lists(st.sampled_from(beside or [source]), max_size=3))])
        elif kind == "sum":
            builder.sum(source, draw(st.sampled_from(alike or [source])))
        else:
            shapes = ["same", *(["up", "shuffle", "crop"] if stride > 4 else []), *(["down"] if stride < 16 else [])]
            builder.apply(source, draw(st.sampled_from(shapes)), draw(st.integers(1, 6)))
    builder.apply(draw(st.sampled_from(builder.values)), "same", draw(st.integers(1, 4)), draw(st.integers(1, 70)))
    if draw(st.booleans()):  # a slice that reads what the slice before it decoded
        builder.concat([builder.values[-1], builder.values[-1]])
        builder.affine(builder.values[-1])
        builder.apply(builder.values[-1], "same", 2, 5)
    return builder.model()


def random_latents(model: Model, generator: Random, width: int, height: int) -> Latents:
    shapes = EntropyModel(reference.model_bytes(model)).shapes(width, height)
    scale = generator.choice([1, 9, 3000])
    return {
        name: np.clip(np.rint(generator.laplace(0, scale, shape)), -(2**15), 2**15 - 1).astype(np.int16)
        for name, shape in shapes.items()
    }


@settings(max_examples=120, deadline=None)
@given(models(), st.integers(0, 2**32), st.integers(1, 50), st.integers(1, 50))
def test_random_models_are_exact(model: Model, seed: int, width: int, height: int) -> None:
    assert_exact(model, random_latents(model, np.random.default_rng(seed), width, height), width, height)


def read_out(channels: int) -> Net:
    """Values from 0 to 255 as table indices, each the value itself."""
    identity = np.eye(channels, dtype=np.int64)[:, None, None, :]
    thresholds = np.arange(1, 256)[None].repeat(channels, axis=0)
    return Net(0, 255, [Layer(False, 1, 0, 0, 1, np.zeros(channels, np.int64), identity, Index(thresholds))])


@pytest.mark.parametrize("shift", [1, 2, 7, 30, 31, 32, 46, 62])
def test_sums_round_alike_at_every_shift(shift: int) -> None:
    """Operands of 16 bits that end up around 0..255, ties among them, with multipliers of either sign and any size."""
    generator = np.random.default_rng(shift)
    ends = generator.integers(-(2**15), 2**15, (2, 1, 40, 60))
    ends[0, 0, :2, 0], ends[1, 0, :2, :2] = [-(2**15), 2**15 - 1], [-(2**15), 2**15 - 1]
    values = [Tensor(name, 1, 1) for name in ("a", "b", "sum", "last")]
    tensors = [*values, Tensor("index", 1, 1, indices=True)]
    unit = min(2**31 - 1, 2**shift)
    for multipliers in ((unit // 256, unit // 200), (-unit // 300, unit // 2**9), (1, -1), (-(2**31), 2**31 - 1)):
        steps: list[Step] = [
            Code("a", 0),
            Code("b", 0),
            Add("sum", "a", "b", *multipliers, shift, 0, 255),
            Apply("index", "sum", 0),
            Code("last", 1, "index"),
        ]
        model = Model(1, tensors, [[TABLE], [TABLE] * 256], [read_out(1)], steps)
        latents = dict(zip("ab", ends.astype(np.int16), strict=True))
        assert_exact(model, latents | {"last": np.zeros((1, 40, 60), np.int16)}, 60, 40)


@pytest.mark.parametrize("shift", [0, 1, 14])
def test_offsets_and_shifts_are_exact_beyond_32_bits(shift: int) -> None:
    ends = np.arange(-(2**15), 2**15, 21)[:2904].reshape(1, 44, 66).repeat(4, axis=0)
    offsets = np.array([-(2**31), 2**31 - 1, 128, (-5 << shift) + 60])
    tensors = [Tensor("a", 4, 1), Tensor("fixed", 4, 1), Tensor("index", 4, 1, indices=True), Tensor("last", 4, 1)]
    steps: list[Step] = [
        Code("a", 0),
        Affine("fixed", "a", shift, offsets, 0, 255),
        Apply("index", "fixed", 0),
        Code("last", 1, "index"),
    ]
    model = Model(1, tensors, [[TABLE] * 4, [TABLE] * 256], [read_out(4)], steps)
    assert_exact(model, {"a": ends.astype(np.int16), "last": np.zeros_like(ends, np.int16)}, 66, 44)


def test_the_shape_of_a_channel_slice_model_is_exact() -> None:
    """z; two hyper branches; a slice with mean, scale and residual nets; a second slice that reads the first."""
    builder = Builder(np.random.default_rng(3))
    builder.code_by_channel(4, 16)
    builder.affine(builder.values[-1])
    z = builder.values[-1]
    builder.apply(z, "up", 6)
    mean_branch = builder.values[-1]
    builder.apply(z, "shuffle", 6)
    scale_branch = builder.values[-1]
    support: list[Known] = []
    for _ in range(2):
        builder.concat([mean_branch, *support])
        mean_input = builder.values[-1]
        builder.apply(mean_input, "same", 3)
        mean = builder.values[-1]
        builder.concat([scale_branch, *support])
        builder.apply(builder.values[-1], "same", 3, 63)
        builder.affine(builder.values[-1])
        builder.sum(builder.values[-1], mean)
        quantised = builder.values[-1]
        builder.concat([mean_input, quantised])
        builder.apply(builder.values[-1], "same", 3)
        builder.sum(quantised, builder.values[-1])
        support.append(builder.values[-1])
    model = builder.model()
    for width, height in ((1, 1), (200, 90)):
        latents = random_latents(model, np.random.default_rng(4), width, height)
        assert_exact(model, latents, width, height)
    indices = [step.indices for step in model.steps if isinstance(step, Code) and step.indices]
    found = reference.run(model, {name: values.astype(np.int64) for name, values in latents.items()})
    assert all(len(np.unique(found[name])) > 8 for name in indices)
