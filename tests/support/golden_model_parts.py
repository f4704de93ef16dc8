"""Tables, layers and curves of random numbers, for the entropy models of the golden files."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from support import reference_integer_net
from support.reference_coder import Table
from support.reference_integer_net import Epilogue, Index, Integers, Layer, Requantise
from support.reference_integer_net import Table as ValueTable

PROBABILITY_SUM = 1 << 14

# The stream of this generator is frozen by NumPy, unlike that of its successors.
Random = np.random.RandomState


# ---- coding tables -------------------------------------------------------------------------------------------------


def falling(ranks: int, share: int) -> tuple[int, ...]:
    """Frequencies: every rank takes share / 256 of what is left; the escape takes the rest."""
    left, frequencies = PROBABILITY_SUM, []
    for after in range(ranks - 1, 0, -1):
        frequencies.append(max(1, min(left - after, left * share // 256)))
        left -= frequencies[-1]
    return (*frequencies, left)


def scale_tables(count: int) -> list[Table]:
    """Tables for residuals, centred on zero, from narrow to wide. The wide half has raw bits."""
    return [
        Table(falling(2 + 62 * i // (count - 1), 250 - 226 * i // (count - 1)), raw_bits=max(0, 24 * i // count - 12))
        for i in range(count)
    ]


def shifted_tables(count: int) -> list[Table]:
    """Tables of all kinds: modes other than zero, both signs, 2 to 64 ranks, 0 to 12 raw bits."""
    return [
        Table(
            falling(2 + i * 11 % 63, 20 + i * 37 % 230),
            mode=(i * 97) % 601 - 300,
            sign=-1 if i % 3 == 1 else 1,
            raw_bits=i % 13 if i % 2 else 0,
        )
        for i in range(count)
    ]


def alphabet_tables(lowest: int, symbols: int, count: int) -> list[Table]:
    """Tables for an alphabet from `lowest` up, with modes all over it; values without a rank are escaped."""
    return [
        Table(
            falling(2 + i * 3 % min(62, 2 * symbols), 110 + i * 31 % 100),
            mode=lowest + i * (symbols - 1) // max(1, count - 1),
            sign=1 - 2 * (i & 1),
            raw_bits=i % 4 // 3,
        )
        for i in range(count)
    ]


def neighbour_tables(channels: int, symbols: int, count: int, ends: bool = False) -> Integers:
    """Table numbers below `count`: close to the mean of the left and upper neighbour, shifted by channel and end."""
    end, channel, left, above = np.indices((1 + ends, channels, symbols + 1, symbols + 1))
    return ((left + above) * count // (2 * symbols + 1) + channel % 2 + end * (count // 2)) % count


# ---- layers --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Geometry:
    """The geometry of a layer, without its channels."""

    transposed: bool
    kernel: int
    stride: int
    padding: int
    output_padding: int
    weight_bytes: int


#: A 1x1 convolution with 8-bit weights.
POINT = Geometry(False, 1, 1, 0, 0, 1)
#: A 3x3 convolution that keeps the size.
AROUND = Geometry(False, 3, 1, 1, 0, 1)


def layer(random: Random, geometry: Geometry, inputs: int, outputs: int, epilogue: Epilogue) -> Layer:
    """A layer with weights of the whole 8-bit range, or 16-bit weights as large as 32-bit sums allow."""
    largest = 127 if geometry.weight_bytes == 1 else 900
    return Layer(
        geometry.transposed,
        geometry.stride,
        geometry.padding,
        geometry.output_padding,
        geometry.weight_bytes,
        random.randint(-20000, 20000, outputs).astype(np.int64),
        random.randint(-largest - 1, largest + 1, (outputs, geometry.kernel, geometry.kernel, inputs)).astype(np.int64),
        epilogue,
    )


def hidden_epilogue(random: Random, outputs: int, shift: int, low: int, high: int) -> Requantise:
    """A requantisation with multipliers up to 2^24 and shifts from `shift` up."""
    return Requantise(
        random.randint(1 << 20, 1 << 24, outputs),
        random.randint(-(1 << 22), 1 << 22, outputs),
        random.randint(shift, shift + 6, outputs),
        low,
        high,
    )


def hidden_layer(random: Random, geometry: Geometry, inputs: int, outputs: int) -> Layer:
    """A layer whose outputs are 0 to 255."""
    epilogue = hidden_epilogue(random, outputs, 28 if geometry.weight_bytes == 1 else 36, 0, 255)
    return layer(random, geometry, inputs, outputs, epilogue)


def index_layer(random: Random, geometry: Geometry, sample: Integers, outputs: int, thresholds: int) -> Layer:
    """A layer of table indices. Thresholds are quantiles of its accumulators on `sample`, so that all indices occur."""
    made = layer(random, geometry, len(sample), outputs, Index(np.zeros((outputs, 1), np.int64)))
    sums = np.sort(reference_integer_net.accumulate(made, sample).reshape(outputs, -1), 1)
    places = np.arange(1, thresholds + 1) * sums.shape[1] // (thresholds + 1)
    return replace(made, epilogue=Index(sums[:, places]))


def sample(random: Random, channels: int, low: int, high: int) -> Integers:
    return random.randint(low, high + 1, (channels, 10, 10)).astype(np.int64)


def spread(random: Random, outputs: int, shifts: Sequence[int] | Integers, low: int, high: int) -> Requantise:
    """A requantisation with multipliers from 2^19 to 2^20, the same for both signs, and a shift for each output."""
    multiplier = random.randint(1 << 19, 1 << 20, outputs)
    return Requantise(multiplier, multiplier, np.array(shifts), low, high)


def correction_layer(random: Random, inputs: int, outputs: int, unit: int) -> Layer:
    """A layer that looks up half a hyperbolic tangent, with values between -unit / 2 and unit / 2."""
    requantise = spread(random, outputs, [30] * outputs, -120, 120)
    entries = [math.floor((unit // 2 - 0.5) * math.tanh(place / 40)) for place in range(-120, 121)]
    return layer(random, POINT, inputs, outputs, ValueTable(requantise, np.array(entries)))


def constant_layer(random: Random, inputs: int, outputs: Sequence[int], largest: int) -> Layer:
    """A layer that gives `outputs`, plus the inputs times random weights up to `largest`."""
    count = len(outputs)
    doubled = Requantise(np.full(count, 2), np.full(count, 2), np.full(count, 1), -32768, 32767)
    weight = random.randint(-largest, largest + 1, (count, 1, 1, inputs)).astype(np.int64)
    return Layer(False, 1, 0, 0, 1, np.array(outputs, np.int64), weight, doubled)


# ---- curves of mixtures --------------------------------------------------------------------------------------------


def normal_tails(fraction: int) -> list[int]:
    """Tails of a normal distribution in 2^-16, down to the first that rounds to 0."""
    tails = [round(32768 * math.erfc(place / 2**fraction / math.sqrt(2))) for place in range(5 << fraction)]
    return [tail for tail in tails if tail > 0] + [0]


def exponential_weights(rate: int) -> list[int]:
    """Component weights by the distance of a logit from the largest one, in 1 / rate; the last is 0."""
    return [round(65535 * math.exp(-place / rate)) for place in range(6 * rate)] + [0]
