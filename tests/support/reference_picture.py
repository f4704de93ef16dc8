"""A slow, plain coder from latents to the payload of a picture and back, written from docs/format.md, sections 2 and 3.

Together the reference_*.py do everything that the native library does, and share nothing with it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from support import reference_coder, reference_entropy_model, reference_integer_net, reference_label_map
from support.reference_coder import Bits, Decoder, Distribution, Interval, Ranked, Refused
from support.reference_entropy_model import (
    Coding,
    Context,
    Labels,
    Mixture,
    Model,
    Tensors,
    coding_steps,
    computed,
    decoder_latents,
)
from support.reference_integer_net import Integers

CHANNEL_BLOCK = 32

#: Channel, row and column.
Place = tuple[int, int, int]


def encode(model: Model, latents: Mapping[str, Integers], lanes: int, ramp: bool = True) -> tuple[bytes, int]:
    """The payload of encoder latents and its lanes; 0 lets the function choose.

    Raises `Refused` for latents that cannot be coded. Without `ramp`, everything is coded on all lanes, as a simple
    writer does: tail8 = tail2 = 0.
    """
    known = reference_entropy_model.run(model, latents)
    side = Bits()
    steps = []
    for step in coding_steps(model):
        values = known[step.tensor]
        if isinstance(step, Labels):
            steps.append(_label_intervals(step, values))
            continue
        places = distributions(model, step, values, known)
        steps.append([distribution.encode(int(values[place]), side) for place, distribution in places])
    return reference_coder.encode_intervals(steps, side, lanes, digest(model, known), ramp)


def _label_intervals(step: Labels, values: Integers) -> list[Interval]:
    if values.min() < 0 or values.max() >= step.classes:
        raise Refused("label without a class")
    pairs = [pair for plane in values for pair in reference_label_map.encode(plane, step.classes)]
    return [Interval(start, width, 16) for start, width in pairs]


def digest(model: Model, known: Tensors) -> int:
    return reference_coder.latents_digest([known[name].ravel().tolist() for name in decoder_latents(model)])


def decode(model: Model, payload: bytes, width: int, height: int, lanes: int) -> Tensors:
    """The decoder latents, by name; raises `Refused` where a decoder must refuse."""
    decoder = Decoder(lanes, payload)
    known = fill(model, width, height, decoder.begin_step, decoder.symbol)
    if decoder.finish() != digest(model, known):
        raise Refused("latents differ")
    return {name: known[name] for name in decoder_latents(model)}


def fill(
    model: Model,
    width: int,
    height: int,
    begin_step: Callable[[int | None, bool], None],
    symbol: Callable[[Distribution], int],
) -> Tensors:
    """Compute all tensors from their symbols.

    begin_step(number of symbols, or None if only decoding tells; whether the step is the last).
    """
    known: Tensors = {}
    steps_left = len(coding_steps(model))
    for step in model.steps:
        if not isinstance(step, Coding):
            known[step.destination] = computed(model, step, known)
            continue
        steps_left -= 1
        values = np.zeros(model.shape(step.tensor, width, height), np.int64)
        known[step.tensor] = values
        if isinstance(step, Labels):
            begin_step(None, steps_left == 0)
            for plane in values:
                reference_label_map.walk(plane, step.classes, lambda yes, _: bool(symbol(Decision(yes))))
            continue
        begin_step(symbol_count(step, values, known), steps_left == 0)
        for place, distribution in distributions(model, step, values, known):
            values[place] = symbol(distribution)
    return known


def symbol_count(step: Coding, values: Integers, known: Tensors) -> int:
    if isinstance(step, Context) and step.limit is not None:
        return int(np.clip(known[step.limit], 0, len(values)).sum())
    return values.size


def distributions(model: Model, step: Coding, values: Integers, known: Tensors) -> Iterator[tuple[Place, Distribution]]:
    """The positions of a tensor in coding order, each with the distribution of its symbol.

    `values` is the tensor itself; only values at positions that were yielded before are read.
    """
    if isinstance(step, Context):
        yield from _context(model, step, values, known)
        return
    if isinstance(step, Mixture):
        yield from _mixture(model, step, values)
        return
    assert not isinstance(step, Labels)
    tables = model.table_sets[step.table_set]
    if step.indices is not None:
        for place in np.ndindex(values.shape):
            yield place, Ranked(tables[known[step.indices][place]])
        return
    channels, rows, columns = values.shape
    for first in range(0, channels, CHANNEL_BLOCK):
        for row, column in np.ndindex(rows, columns):
            for channel in range(first, min(first + CHANNEL_BLOCK, channels)):
                yield (channel, row, column), Ranked(tables[channel])


@dataclass(frozen=True)
class Decision:
    """A binary decision of a label map: 1, yes, has the slots below `yes`; 0 has the others."""

    yes: int
    bits: int = 16

    def encode(self, value: int, side: Bits) -> Interval:
        return Interval(0, self.yes, 16) if value else Interval(self.yes, 65536 - self.yes, 16)

    def decode(self, slot: int, side: Bits) -> tuple[Interval, int]:
        value = int(slot < self.yes)
        return self.encode(value, side), value


@dataclass(frozen=True)
class InAlphabet:
    """A coding table for a finite alphabet: other values are refused."""

    table: Ranked
    lowest: int
    highest: int
    bits: int = 16

    def encode(self, value: int, side: Bits) -> Interval:
        self._check(value)
        return self.table.encode(value, side)

    def decode(self, slot: int, side: Bits) -> tuple[Interval, int]:
        interval, value = self.table.decode(slot, side)
        self._check(value)
        return interval, value

    def _check(self, value: int) -> None:
        if not self.lowest <= value <= self.highest:
            raise Refused("value out of the alphabet")


def _context(model: Model, step: Context, values: Integers, known: Tensors) -> Iterator[tuple[Place, Distribution]]:
    channels, rows, columns = values.shape
    limits = np.full((rows, columns), channels) if step.limit is None else known[step.limit][0]
    unknown = step.symbols

    def symbol(channel: int, row: int, column: int) -> int:
        if row < 0 or column < 0 or channel >= limits[row, column]:
            return unknown
        return int(values[channel, row, column]) - step.lowest

    for row, column in np.ndindex(rows, columns):
        for channel in range(channels):
            limit = limits[row, column]
            if channel >= limit:
                continue
            end = int(step.ends and channel == limit - 1)
            left, above = symbol(channel, row, column - 1), symbol(channel, row - 1, column)
            table = model.table_sets[step.table_set][step.tables[end, channel, left, above]]
            yield (channel, row, column), InAlphabet(Ranked(table, 16), step.lowest, step.lowest + step.symbols - 1)


def _mixture(model: Model, step: Mixture, values: Integers) -> Iterator[tuple[Place, Distribution]]:
    channels, rows, columns = values.shape
    net = model.nets[step.net]
    outside = np.zeros(channels, np.int64)

    def tap(row: int, column: int) -> Integers:
        return values[:, row, column] if 0 <= row < rows and 0 <= column < columns else outside

    for front in range(columns + step.delay * (rows - 1)):
        for row in range(rows):
            column = front - step.delay * row
            if not 0 <= column < columns:
                continue
            seen = np.concatenate([tap(row - up, column + across) for up, across in step.taps])
            given = reference_integer_net.run(net, np.clip(seen, net.low, net.high)[:, None, None])
            parameters = given.reshape(step.components, 3, channels).tolist()
            for channel in range(channels):
                components = [tuple(numbers[channel] for numbers in component) for component in parameters]
                yield (channel, row, column), mixed(step, components)


@dataclass(frozen=True)
class Component:
    """A component of a mixture; mean and scale are integers in units of 2^-fraction."""

    mean: int
    scale: int
    weight: int


@dataclass(frozen=True)
class Mixed:
    """The distribution of one symbol of a mixture. Values from lowest to highest have intervals of their own."""

    step: Mixture
    components: Sequence[Component]
    lowest: int
    highest: int
    bits: int = 16

    def below(self, component: Component, value: int) -> int:
        """The probability below `value` - 1/2, in 2^-16."""
        step = self.step
        distance = ((2 * value - 1) << (step.mean_fraction - 1)) - component.mean
        numerator = abs(distance) << (step.tail_fraction + 8 + step.scale_fraction)
        place = min(numerator // (component.scale << step.mean_fraction), (len(step.tails) - 1) << 8)
        here, rest = divmod(place, 256)
        after = min(here + 1, len(step.tails) - 1)
        tail = step.tails[here] - (((step.tails[here] - step.tails[after]) * rest + 128) >> 8)
        return tail if distance < 0 else 65536 - tail

    def weighted(self, value: int) -> int:
        return sum(component.weight * self.below(component, value) for component in self.components)

    def start(self, value: int) -> int:
        """The first slot of `value`; for highest + 1, that of the escape."""
        intervals = self.highest - self.lowest + 2
        mass = self.weighted(value) - self.weighted(self.lowest)
        total = sum(component.weight for component in self.components)
        return ((mass * (65536 - intervals)) >> 16) // total + value - self.lowest

    def interval(self, value: int) -> Interval:
        start = self.start(value)
        return Interval(start, self.start(value + 1) - start, self.bits)

    def escape(self) -> Interval:
        start = self.start(self.highest + 1)
        return Interval(start, 65536 - start, self.bits)

    def encode(self, value: int, side: Bits) -> Interval:
        if self.lowest <= value <= self.highest:
            return self.interval(value)
        reference_coder.put_escape(value - self.lowest, side)
        return self.escape()

    def decode(self, slot: int, side: Bits) -> tuple[Interval, int]:
        values = range(self.lowest, self.highest + 2)
        value = values[bisect_right(values, slot, key=self.start) - 1]
        if value <= self.highest:
            return self.interval(value), reference_coder.checked(value)
        value = reference_coder.checked(self.lowest + reference_coder.take_escape(side))
        if self.lowest <= value <= self.highest:
            raise Refused("escape to a value that has an interval")
        return self.escape(), value


def mixed(step: Mixture, components: Sequence[tuple[int, ...]]) -> Mixed:
    """The distribution for the components (mean, scale, logit) that the net computed."""
    largest = max(logit for _, _, logit in components)
    usable = []
    for mean, scale, logit in components:
        weight = step.weights[min(largest - logit, len(step.weights) - 1)]
        if weight > 0:
            usable.append(Component(mean, max(abs(scale), step.least_scale), weight))

    def near(number: int) -> int:
        return (number + (1 << (step.mean_fraction - 1))) >> step.mean_fraction

    reaches = [(step.reach * each.scale << step.mean_fraction) >> step.scale_fraction for each in usable]
    lowest = min(near(each.mean - reach) for each, reach in zip(usable, reaches, strict=True))
    highest = max(near(each.mean + reach) for each, reach in zip(usable, reaches, strict=True))
    if highest - lowest > 254:
        middle = (lowest + highest) >> 1
        lowest, highest = middle - 127, middle + 127
    return Mixed(step, usable, lowest, highest)
