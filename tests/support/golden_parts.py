"""What the entropy models of the golden files are made of: tables, layers and curves of random numbers."""

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
    """Frequencies where every rank takes share / 256 of what is left, and the escape the rest."""
    left, frequencies = PROBABILITY_SUM, []
    for after in range(ranks - 1, 0, -1):
        frequencies.append(max(1, min(left - after, left * share // 256)))
        left -= frequencies[-1]
    return (*frequencies, left)


def scale_tables(count: int) -> list[Table]:
    """From narrow to wide, centred on zero: what residuals are coded with. The wide half sends raw bits."""
    return [
        Table(falling(2 + 62 * i // (count - 1), 250 - 226 * i // (count - 1)), raw_bits=max(0, 24 * i // count - 12))
        for i in range(count)
    ]


def shifted_tables(count: int) -> list[Table]:
    """Of all kinds: modes apart from zero, both signs, 2 to 64 ranks, 0 to 12 raw bits."""
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
    """For values from `lowest` up, with modes all over them; what some have no rank for is behind their escape."""
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
    """Which of `count` tables: about that of the mean of left and above, another one for each channel and end."""
    end, channel, left, above = np.indices((1 + ends, channels, symbols + 1, symbols + 1))
    return ((left + above) * count // (2 * symbols + 1) + channel % 2 + end * (count // 2)) % count


# ---- layers --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Geometry:
    """Of a layer, but for its channels."""

    transposed: bool
    kernel: int
    stride: int
    padding: int
    output_padding: int
    weight_bytes: int


#: A convolution of one pixel, with weights of one byte.
POINT = Geometry(False, 1, 1, 0, 0, 1)
#: One that looks at neighbours and keeps the size.
AROUND = Geometry(False, 3, 1, 1, 0, 1)


def layer(random: Random, geometry: Geometry, inputs: int, outputs: int, epilogue: Epilogue) -> Layer:
    """Weights are all that one byte holds, or as large as two bytes may be for sums that fit 32 bits."""
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
    """Shifts by `shift` and a little more what is multiplied by up to 2^24."""
    return Requantise(
        random.randint(1 << 20, 1 << 24, outputs),
        random.randint(-(1 << 22), 1 << 22, outputs),
        random.randint(shift, shift + 6, outputs),
        low,
        high,
    )


def hidden_layer(random: Random, geometry: Geometry, inputs: int, outputs: int) -> Layer:
    """Gives values from 0 to 255."""
    epilogue = hidden_epilogue(random, outputs, 28 if geometry.weight_bytes == 1 else 36, 0, 255)
    return layer(random, geometry, inputs, outputs, epilogue)


def index_layer(random: Random, geometry: Geometry, sample: Integers, outputs: int, thresholds: int) -> Layer:
    """Thresholds are quantiles of the accumulators of a sample of its input, so that all indices occur."""
    made = layer(random, geometry, len(sample), outputs, Index(np.zeros((outputs, 1), np.int64)))
    sums = np.sort(reference_integer_net.accumulate(made, sample).reshape(outputs, -1), 1)
    places = np.arange(1, thresholds + 1) * sums.shape[1] // (thresholds + 1)
    return replace(made, epilogue=Index(sums[:, places]))


def sample(random: Random, channels: int, low: int, high: int) -> Integers:
    return random.randint(low, high + 1, (channels, 10, 10)).astype(np.int64)


def spread(random: Random, outputs: int, shifts: Sequence[int] | Integers, low: int, high: int) -> Requantise:
    """Multiplies by 2^19 to 2^20, whatever the sign, and shifts each output by its own number of bits."""
    multiplier = random.randint(1 << 19, 1 << 20, outputs)
    return Requantise(multiplier, multiplier, np.array(shifts), low, high)


def correction_layer(random: Random, inputs: int, outputs: int, unit: int) -> Layer:
    """A table of half a hyperbolic tangent, from -unit / 2 up and below unit / 2."""
    requantise = spread(random, outputs, [30] * outputs, -120, 120)
    entries = [math.floor((unit // 2 - 0.5) * math.tanh(place / 40)) for place in range(-120, 121)]
    return layer(random, POINT, inputs, outputs, ValueTable(requantise, np.array(entries)))


def constant_layer(random: Random, inputs: int, outputs: Sequence[int], largest: int) -> Layer:
    """Gives these values, but for inputs times weights up to `largest`."""
    count = len(outputs)
    doubled = Requantise(np.full(count, 2), np.full(count, 2), np.full(count, 1), -32768, 32767)
    weight = random.randint(-largest, largest + 1, (count, 1, 1, inputs)).astype(np.int64)
    return Layer(False, 1, 0, 0, 1, np.array(outputs, np.int64), weight, doubled)


# ---- curves of mixtures --------------------------------------------------------------------------------------------


def normal_tails(fraction: int) -> list[int]:
    """Of a normal distribution, in 2^-16, as far as they are not 0."""
    tails = [round(32768 * math.erfc(place / 2**fraction / math.sqrt(2))) for place in range(5 << fraction)]
    return [tail for tail in tails if tail > 0] + [0]


def exponential_weights(rate: int) -> list[int]:
    """Of components by how far their logits, in 1 / rate, lie behind; 0 at last."""
    return [round(65535 * math.exp(-place / rate)) for place in range(6 * rate)] + [0]
