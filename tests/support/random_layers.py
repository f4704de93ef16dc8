"""Random layers of integer nets, with numbers as large as the overflow check allows."""

from __future__ import annotations

import numpy as np

from support import reference_integer_net as reference
from support.reference_integer_net import INT32_MAX, INT32_MIN, Epilogue, Index, Layer, Requantise, Table


def random_layer(
    generator: np.random.Generator,
    channels: tuple[int, int],
    geometry: tuple[bool, int, int, int, int],
    bounds: tuple[int, int],
    thresholds: int = 0,
    weight_bytes: int = 2,
) -> Layer:
    """A random layer with numbers as large as the bounds allow.

    geometry: transposed, kernel, stride, padding, output padding.
    """
    inputs, outputs = channels
    transposed, kernel, stride, padding, output_padding = geometry
    limit = 2 ** (8 * weight_bytes - 1)
    weight = generator.integers(-limit, limit, (outputs, kernel, kernel, inputs))
    largest_bias = 2 ** int(generator.integers(1, 31))
    bias = generator.integers(-largest_bias, largest_bias, outputs)

    def layer(epilogue: Epilogue) -> Layer:
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
    requantise = Requantise(multipliers[0], multipliers[1], shift, *random_bounds(generator))
    return layer(random_table(generator, requantise) if generator.integers(2) else requantise)


def random_table(generator: np.random.Generator, requantise: Requantise) -> Table:
    low, high = random_bounds(generator)
    return Table(requantise, generator.integers(low, high + 1, requantise.high - requantise.low + 1))


def random_bounds(generator: np.random.Generator) -> tuple[int, int]:
    """Input bounds of 16 bits, or of about 8, where some kernels work on bytes."""
    if generator.integers(2):
        low, high = np.sort(generator.integers(-(2**15), 2**15, 2))
    else:
        low = generator.integers(-260, 10)
        high = low + generator.integers(250, 260)
    return int(low), int(high)
