"""Random entropy models that the format allows, and latents for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from support import reference_picture
from support.random_layers import random_bounds, random_layer
from support.reference_coder import Bits, Distribution, Refused, Table
from support.reference_entropy_model import (
    Add,
    Affine,
    Apply,
    Code,
    Concat,
    Context,
    Labels,
    Mixture,
    Model,
    Residual,
    Step,
    Tensor,
    Tensors,
    encoder_input,
    encoder_latents,
)
from support.reference_integer_net import AnyLayer, Crop, Layer, Net, PixelShuffle, Requantise, output_bounds
from support.reference_integer_net import Table as ValueTable

ALIGNMENT = 16
#: The causal neighbours in a window of 3 rows and 5 columns, and the delay in columns from row to row.
CAUSAL_3X5 = ((2, -2), (2, -1), (2, 0), (2, 1), (2, 2), (1, -2), (1, -1), (1, 0), (1, 1), (1, 2), (0, -2), (0, -1))
CAUSAL_3X5_DELAY = 3

Random = np.random.Generator


def random_frequencies(generator: Random, ranks: int) -> tuple[int, ...]:
    """Frequencies that fall by a random factor; the first or the last takes the rounding."""
    shares = generator.uniform(0.2, 1) ** np.arange(ranks)
    frequencies = np.maximum(1, shares / shares.sum() * (2**14 - ranks)).astype(np.int64)
    frequencies[generator.integers(2) * (ranks - 1)] += 2**14 - frequencies.sum()
    return tuple(frequencies.tolist())


def carrying_table(generator: Random) -> Table:
    """A table that can code every 16-bit value."""
    mode, sign = [(-1, 1), (0, -1)][generator.integers(2)]
    frequencies = random_frequencies(generator, int(generator.integers(2, 20)))
    return Table(frequencies, mode, sign, int(generator.integers(0, 7)))


def carrying_tables(generator: Random, count: int) -> list[Table]:
    return [carrying_table(generator) for _ in range(count)]


@dataclass(frozen=True)
class Known:
    """A tensor of values that steps may read, and its bounds."""

    tensor: Tensor
    low: int
    high: int


class Builder:
    """Builds a model step by step, as the format allows. The tensor added last is at the end of `values`."""

    def __init__(self, generator: Random) -> None:
        self.generator = generator
        self.tensors: list[Tensor] = []
        self.tables: list[list[Table]] = []
        self.nets: list[Net] = []
        self.steps: list[Step] = []
        self.values: list[Known] = []

    def tensor(self, channels: int, stride: int, *, indices: bool = False, latent: bool = False) -> Tensor:
        self.tensors.append(Tensor(f"t{len(self.tensors)}", channels, stride, indices, latent))
        return self.tensors[-1]

    def add(self, step: Step, known: Known) -> Known:
        self.steps.append(step)
        self.values.append(known)
        return known

    def table_set(self, tables: list[Table]) -> int:
        self.tables.append(tables)
        return len(self.tables) - 1

    def now_and_then(self) -> bool:
        return bool(self.generator.integers(5) == 0)

    def code_by_channel(self, channels: int, stride: int, *, latent: bool = True) -> Known:
        tensor = self.tensor(channels, stride, latent=latent)
        table_set = self.table_set(carrying_tables(self.generator, channels))
        return self.add(Code(tensor.name, table_set), Known(tensor, -(2**15), 2**15 - 1))

    def code_by_index(self, indices: Tensor, tables: int) -> Known:
        tensor = self.tensor(indices.channels, indices.stride, latent=True)
        table_set = self.table_set(carrying_tables(self.generator, tables))
        return self.add(Code(tensor.name, table_set, indices.name), Known(tensor, -(2**15), 2**15 - 1))

    def residual(self, indices: Tensor, tables: int, target: Tensor, first: int, mean: Known, fraction: int) -> Known:
        tensor = self.tensor(indices.channels, indices.stride)
        table_set = self.table_set(carrying_tables(self.generator, tables))
        step = Residual(tensor.name, table_set, indices.name, target.name, first, mean.tensor.name, fraction)
        return self.add(step, Known(tensor, -(2**15), 2**15 - 1))

    def affine(self, source: Known) -> Known:
        tensor = self.tensor(source.tensor.channels, source.tensor.stride, latent=self.now_and_then())
        largest = 2 ** int(self.generator.integers(1, 31))
        offsets = self.generator.integers(-largest, largest, tensor.channels)
        low, high = random_bounds(self.generator)
        shift = int(self.generator.integers(0, 15))
        return self.add(Affine(tensor.name, source.tensor.name, shift, offsets, low, high), Known(tensor, low, high))

    def concat(self, sources: Sequence[Known], *, latent: bool = False) -> Known:
        tensor = self.tensor(sum(each.tensor.channels for each in sources), sources[0].tensor.stride, latent=latent)
        low, high = min(source.low for source in sources), max(source.high for source in sources)
        return self.add(Concat(tensor.name, [source.tensor.name for source in sources]), Known(tensor, low, high))

    def sum(self, first: Known, second: Known) -> Known:
        multipliers = self.generator.integers(-(2**31), 2**31, 2) >> self.generator.integers(0, 31, 2)
        shift = int(np.clip(np.log2(np.abs(multipliers).max() + 1).astype(int) + self.generator.integers(-3, 9), 1, 62))
        return self.weighted_sum(first, second, (int(multipliers[0]), int(multipliers[1])), shift)

    def weighted_sum(self, first: Known, second: Known, multipliers: tuple[int, int], shift: int) -> Known:
        tensor = self.tensor(first.tensor.channels, first.tensor.stride, latent=self.now_and_then())
        low, high = random_bounds(self.generator)
        ends = (first.tensor.name, second.tensor.name)
        return self.add(Add(tensor.name, *ends, *multipliers, shift, low, high), Known(tensor, low, high))

    def convolution(
        self, ends: tuple[int, int], geometry: tuple[bool, int, int, int, int], bounds: tuple[int, int], thresholds: int
    ) -> Layer:
        return random_layer(self.generator, ends, geometry, bounds, thresholds, int(self.generator.integers(1, 3)))

    def apply(self, source: Known, shape: str, channels: int) -> Known:
        """A net of layers that keep or change the size. shape: "same", "up", "down", "shuffle" or "crop"."""
        stride = source.tensor.stride
        layers: list[AnyLayer] = []
        bounds = (source.low, source.high)

        def convolve(inputs: int, channels: int, geometry: tuple[bool, int, int, int, int]) -> None:
            nonlocal bounds
            layers.append(self.convolution((inputs, channels), geometry, bounds, 0))
            bounds = output_bounds(layers[-1], *bounds)

        inputs = source.tensor.channels
        if shape == "same":
            convolve(inputs, channels, (False, 3, 1, 1, 0))
            convolve(channels, channels, (False, 1, 1, 0, 0))
        elif shape == "up":
            convolve(inputs, channels, (True, 5, 2, 2, 1))
            stride //= 2
        elif shape == "down":
            convolve(inputs, channels, (False, 3, 2, 1, 0))
            stride *= 2
        elif shape == "shuffle":
            convolve(inputs, 4 * channels, (False, 1, 1, 0, 0))
            layers.append(PixelShuffle(2, 4 * channels))
            stride //= 2
        else:
            convolve(inputs, channels, (True, 3, 2, 0, 0))
            layers.append(Crop(1, 0, 0, 1, channels))
            stride //= 2
        return self.net(source, layers, self.tensor(channels, stride, latent=self.now_and_then()))

    def net(self, source: Known, layers: Sequence[AnyLayer], destination: Tensor) -> Known:
        self.nets.append(Net(source.low, source.high, layers))
        bounds = (source.low, source.high)
        for layer in layers:
            bounds = output_bounds(layer, *bounds)
        return self.add(Apply(destination.name, source.tensor.name, len(self.nets) - 1), Known(destination, *bounds))

    def indices(self, source: Known, channels: int, thresholds: int) -> Tensor:
        """A net whose outputs are table indices."""
        ends = (source.tensor.channels, channels)
        layer = self.convolution(ends, (False, 3, 1, 1, 0), (source.low, source.high), thresholds)
        self.nets.append(Net(source.low, source.high, [layer]))
        tensor = self.tensor(channels, source.tensor.stride, indices=True)
        self.steps.append(Apply(tensor.name, source.tensor.name, len(self.nets) - 1))
        return tensor

    def mean(self, source: Known, channels: int) -> Known:
        """A net whose outputs vary over the picture if its inputs do."""
        weight = self.generator.integers(-127, 128, (channels, 3, 3, source.tensor.channels))
        typical = 64 * np.sqrt(9 * source.tensor.channels) * max(-source.low, source.high, 4) / 4
        multiplier = self.generator.integers(2**18, 2**20, (2, channels))
        shift = np.full(channels, int(np.log2(typical)) + 9)
        epilogue = Requantise(multiplier[0], multiplier[1], shift, -(2**15), 2**15 - 1)
        bias = self.generator.integers(-1000, 1000, channels)
        layer = Layer(False, 1, 1, 0, 1, bias, weight, epilogue)
        return self.net(source, [layer], self.tensor(channels, source.tensor.stride))

    def correction(self, source: Known, channels: int, fraction: int) -> Known:
        """A net that ends in a lookup of half a hyperbolic tangent, in 2^-fraction."""
        ends, bounds = (source.tensor.channels, channels), (source.low, source.high)
        hidden = self.convolution(ends, (False, 3, 1, 1, 0), bounds, 0)
        last = self.convolution((channels, channels), (False, 1, 1, 0, 0), output_bounds(hidden, *bounds), 0)
        requantise = last.epilogue.requantise if isinstance(last.epilogue, ValueTable) else last.epilogue
        assert isinstance(requantise, Requantise)
        places = np.arange(requantise.low, requantise.high + 1) / 100
        entries = np.rint(2**fraction * 0.5 * np.tanh(places)).astype(np.int64)
        layers = [hidden, replace(last, epilogue=ValueTable(requantise, entries))]
        return self.net(source, layers, self.tensor(channels, source.tensor.stride))

    def mixture(
        self, channels: int, stride: int, taps: Sequence[tuple[int, int]], delay: int, components: int
    ) -> Known:
        """A mixture whose net has one layer or two; means, scales and logits vary from little to extremely."""
        low, high = random_bounds(self.generator)
        inputs, outputs = len(taps) * channels, 3 * components * channels
        bounds, layers = (low, high), []
        if self.generator.integers(2):
            hidden = int(self.generator.integers(1, 6))
            layers.append(self.convolution((inputs, hidden), (False, 1, 1, 0, 0), bounds, 0))
            inputs, bounds = hidden, output_bounds(layers[-1], *bounds)
        last = self.convolution((inputs, outputs), (False, 1, 1, 0, 0), bounds, 0)
        if isinstance(last.epilogue, Requantise):
            smaller = last.epilogue.shift + self.generator.integers(0, 15, outputs)
            last = replace(last, epilogue=replace(last.epilogue, shift=np.minimum(smaller, 62), low=-(2**15)))
        self.nets.append(Net(low, high, [*layers, last]))
        tensor = self.tensor(channels, stride, latent=True)
        step = Mixture(
            tensor.name,
            len(self.nets) - 1,
            delay,
            taps,
            components,
            mean_fraction=int(self.generator.integers(1, 15)),
            scale_fraction=int(self.generator.integers(0, 15)),
            least_scale=int(self.generator.choice([1, 20, 3000, 65535])),
            reach=int(self.generator.integers(1, 17)),
            tail_fraction=int(self.generator.integers(0, 11)),
            tails=random_tails(self.generator),
            weights=random_weights(self.generator),
        )
        return self.add(step, Known(tensor, -(2**15), 2**15 - 1))

    def context(
        self,
        tensor: Tensor,
        lowest: int,
        symbols: int,
        *,
        limit: Tensor | None = None,
        ends: bool = False,
        prefix_of: Tensor | None = None,
    ) -> Known:
        tables = [self.alphabet_table(lowest, symbols) for _ in range(int(self.generator.integers(1, 6)))]
        shape = (1 + ends, tensor.channels, symbols + 1, symbols + 1)
        choices = self.generator.integers(0, len(tables), shape)
        names = [None if other is None else other.name for other in (limit, prefix_of)]
        step = Context(tensor.name, self.table_set(tables), lowest, choices, *names)
        return self.add(step, Known(tensor, lowest, lowest + symbols - 1))

    def alphabet_table(self, lowest: int, symbols: int) -> Table:
        """A table for an alphabet, part of which may only be reached by an escape."""
        mode = lowest + int(self.generator.integers(symbols))
        ranks = int(self.generator.integers(2, min(64, 2 * symbols) + 1))
        sign, raw_bits = int(self.generator.choice([-1, 1])), int(self.generator.choice([0, 0, 0, 1, 2]))
        return Table(random_frequencies(self.generator, ranks), mode, sign, raw_bits)

    def labels(self, channels: int, stride: int, classes: int) -> Known:
        tensor = self.tensor(channels, stride, latent=True)
        return self.add(Labels(tensor.name, classes), Known(tensor, 0, classes - 1))

    def mask(self, stride: int, channels: int) -> Known:
        """One coded bit for each position, mapped to 0 or `channels`."""
        bit = self.context(self.tensor(1, stride), 0, 2)
        tensor = self.tensor(1, stride)
        step = Affine(tensor.name, bit.tensor.name, 14, np.zeros(1, np.int64), 0, channels)
        return self.add(step, Known(tensor, 0, channels))

    def prefix(self, channels: int, stride: int, *, limit: Tensor | None = None, ends: bool = False) -> Known:
        """A tensor with a finite alphabet, after the number of its channels that are coded at each position."""
        lowest = -int(self.generator.integers(0, 4))
        symbols = 1 - lowest + int(self.generator.integers(0, 4))
        lengths, tensor = self.tensor(1, stride, latent=self.now_and_then()), self.tensor(channels, stride, latent=True)
        self.context(lengths, 0, channels + 1, limit=limit, prefix_of=tensor)
        return self.context(tensor, lowest, symbols, limit=lengths, ends=ends)

    def channel_slices(self, slices: int) -> Known:
        """Residuals of slices of one target; their means and tables come from z and the slices before them."""
        fraction = int(self.generator.choice([0, 1, 5, 14]))
        z = self.code_by_channel(int(self.generator.integers(1, 4)), ALIGNMENT, latent=self.now_and_then())
        fixed = self.affine(z)
        mean_branch, scale_branch = self.apply(fixed, "up", 4), self.apply(fixed, "shuffle", 3)
        widths = self.generator.integers(1, 4, slices).tolist()
        first = int(self.generator.integers(2))
        target = self.tensor(first + sum(widths), mean_branch.tensor.stride)
        refined: list[Known] = []
        for width in widths:
            support = refined[:2]
            mean_input = self.concat([mean_branch, *support])
            mean = self.mean(mean_input, width)
            thresholds = int(self.generator.integers(1, 64))
            indices = self.indices(self.concat([scale_branch, *support]), width, thresholds)
            coded = self.residual(indices, thresholds + 1, target, first, mean, fraction)
            decoded = self.weighted_sum(coded, mean, (2 << fraction, 2), 1)
            correction = self.correction(self.concat([mean_input, decoded]), width, fraction)
            refined.append(self.weighted_sum(decoded, correction, (1 << fraction, 1 << fraction), max(1, fraction)))
            first += width
        return self.concat(refined, latent=True)

    def model(self) -> Model:
        return Model(ALIGNMENT, self.tensors, self.tables, self.nets, self.steps)


def random_tails(generator: Random) -> list[int]:
    """Tails of a mixture: they fall from a mass of at most one half, in steps of any size."""
    falls = generator.integers(0, 2 ** int(generator.integers(2, 16)), int(generator.integers(2, 60)))
    return np.maximum(0, 2 ** int(generator.integers(12, 16)) - np.cumsum(falls)).tolist()


def random_weights(generator: Random) -> list[int]:
    """Component weights by the distance of a logit from the largest one; some are 0."""
    count = int(generator.choice([1, 2, 30, 400]))
    weights = 65535 * np.exp(-np.arange(count) * generator.uniform(0, 1))
    weights[generator.integers(0, count, count // 3)] = 0
    weights[0] = generator.choice([1, 65535])
    return weights.astype(np.int64).tolist()


# ---- latents -------------------------------------------------------------------------------------------------------


def drawn_latents(model: Model, generator: Random, width: int, height: int) -> Tensors:
    """Encoder latents drawn from the distributions of the model, with some escapes."""

    def draw(distribution: Distribution) -> int:
        while True:
            slot = -1 if generator.integers(20) == 0 else int(generator.integers(1 << distribution.bits))
            try:
                return distribution.decode(slot % (1 << distribution.bits), Bits(generator.bytes(8)))[1]
            except Refused:
                continue

    return encoder_input(model, reference_picture.fill(model, width, height, lambda _symbols, _last: None, draw))


def random_latents(model: Model, generator: Random, width: int, height: int) -> Tensors:
    """Encoder latents around zero, independent of the model, which must have no finite alphabet."""
    scale = generator.choice([1, 9, 3000])
    return {
        name: np.clip(np.rint(generator.laplace(0, scale, model.shape(name, width, height))), -(2**15), 2**15 - 1)
        .astype(np.int64)
        for name in encoder_latents(model)
    }  # fmt: skip
