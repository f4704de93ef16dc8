"""Tables of the entropy model's step *context*, measured on pictures.

A symbol of a finite alphabet is coded by the symbols of its channel to the left and above, its *context*. How often
each symbol comes in each context is counted; rare contexts learn from coarser ones, and contexts that turn out alike
share a table.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgecodec_export.entropy.coding_tables import CodingTable, FloatArray, IntArray, categorical_table

# Axes of the counts that tell contexts apart, from coarse to fine. Whether a channel is the last one coded at its
# position is among all of them, because the last one cannot be 0.
COARSE_TO_FINE = ((0,), (0, 2, 3), (0, 1, 2, 3))
# Symbols, distributed as in the coarser context, that are added to the counts of each context.
BACK_OFF = 32.0
# Share of all bits that contexts may lose by sharing tables; and the most tables of one step.
SHARING_BUDGET = 0.0002
MOST_TABLES = 512


@dataclass(frozen=True)
class FrozenContexts:
    """One step *context*: the table of each context, and the probabilities before quantisation.

    probabilities: (1 + ends, C, S + 1 left, S + 1 above, S). numbers: the same without its last axis.
    """

    probabilities: FloatArray
    tables: tuple[CodingTable, ...]
    numbers: IntArray

    def float_bits(self, counts: IntArray) -> float:
        """Bits of symbols counted by `count_symbols`, under the probabilities before quantisation."""
        seen = counts > 0
        return float(-(counts[seen] * np.log2(self.probabilities[seen])).sum())


def count_symbols(
    values: IntArray, lowest: int, symbols: int, limits: IntArray | None = None, *, ends: bool = False
) -> IntArray:
    """How often each symbol comes in each context of one picture: (1 + ends, C, S + 1 left, S + 1 above, S).

    values: (C, h, w), in lowest..lowest + S - 1 where coded. limits: (h, w), channels below it are coded; None for all.
    ends: whether the last coded channel of a position is counted apart. Index S stands for a neighbour not coded.
    """
    channels, rows, columns = values.shape
    limits = np.full((rows, columns), channels) if limits is None else limits
    channel = np.arange(channels)[:, None, None]
    coded = channel < limits
    places = np.full((channels, rows + 1, columns + 1), symbols)
    places[:, 1:, 1:][coded] = values[coded] - lowest
    last = ends & (channel == limits - 1)
    left, above, symbol = places[:, 1:, :-1], places[:, :-1, 1:], places[:, 1:, 1:]
    axes = np.broadcast_arrays(last.astype(np.int64), channel, left, above, symbol)
    shape = (1 + ends, channels, symbols + 1, symbols + 1, symbols)
    numbers = np.ravel_multi_index([axis[coded] for axis in axes], shape)
    return np.bincount(numbers, minlength=int(np.prod(shape))).reshape(shape)


def freeze_contexts(counts: IntArray, lowest: int) -> FrozenContexts:
    """Tables for symbols from `lowest` up. counts: the sum of what `count_symbols` gave for pictures."""
    probabilities = _backed_off(counts)
    symbols = counts.shape[-1]
    # One symbol more, so that a context that never occurred joins one like it, and not an arbitrary one.
    shared, numbers = _share(probabilities.reshape(-1, symbols), counts.sum(-1).ravel() + 1.0)
    tables = tuple(categorical_table(each, lowest) for each in shared)
    return FrozenContexts(probabilities, tables, numbers.reshape(counts.shape[:-1]))


def _backed_off(counts: IntArray) -> FloatArray:
    """Probabilities of symbols, shaped as `counts`; none is 0."""
    found: FloatArray = np.full(counts.shape[-1], 1 / counts.shape[-1])
    for axes in COARSE_TO_FINE:
        seen = counts.sum(tuple(set(range(4)) - set(axes)), keepdims=True)
        found = (seen + BACK_OFF * found) / (seen.sum(-1, keepdims=True) + BACK_OFF)
    return found


def _share(probabilities: FloatArray, weights: FloatArray) -> tuple[FloatArray, IntArray]:
    """Join the pair of tables that loses fewest bits, again and again, until the budget is spent.

    probabilities: (contexts, S). weights: (contexts,), how many symbols each of them stands for.
    Returns (tables, S) probabilities, and the (contexts,) number of each context's table.
    """
    masses = probabilities * weights[:, None]
    bits = _bits(masses)
    budget = SHARING_BUDGET * bits.sum()
    numbers = np.arange(len(masses))
    loss = np.full((len(masses), len(masses)), np.inf)  # of joining j < i, in row i
    for i in range(1, len(masses)):
        loss[i, :i] = _bits(masses[i] + masses[:i]) - bits[i] - bits[:i]
    while True:
        i, j = map(int, np.unravel_index(loss.argmin(), loss.shape))
        budget -= loss[i, j]
        if not np.isfinite(loss[i, j]) or (budget < 0 and np.isfinite(loss).any(1).sum() < MOST_TABLES):
            break
        masses[j] += masses[i]
        bits[j] = _bits(masses[j])
        numbers[numbers == i] = j
        loss[i], loss[:, i] = np.inf, np.inf
        left = np.unique(numbers)
        before, after = left[left < j], left[left > j]
        loss[j, before] = _bits(masses[j] + masses[before]) - bits[j] - bits[before]
        loss[after, j] = _bits(masses[j] + masses[after]) - bits[j] - bits[after]
    left, numbers = np.unique(numbers, return_inverse=True)
    return masses[left] / masses[left].sum(-1, keepdims=True), numbers


def _bits(masses: FloatArray) -> FloatArray:
    """Bits of (..., S) numbers of symbols, each row coded by its own frequencies."""
    return -(masses * np.log2(masses / masses.sum(-1, keepdims=True))).sum(-1)
