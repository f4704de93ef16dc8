"""Integer coding tables (docs/format.md, section 2.1), made once at export from probabilities and frozen.

A table holds the frequencies of at most 64 ranks: the mode, its neighbours alternately to both sides, and last the
escape for everything beyond. Wide densities send their low bits raw, so that 64 ranks are always enough.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
import torch

from edgecodec_export.layers.densities import SCALE_BOUND, FactorizedDensity

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

PRECISION = 1 << 14  # sum of the frequencies of a table
MAX_RANKS = 64
SCALES = 64
LARGEST_SCALE = 256.0

# Beyond this standard deviation, in steps of the ranks, the low bits are almost uniform and go raw: the loss is under
# 0.01 % and the rank stays below 64.
WIDEST = 6.0
# A pair of ranks stays in its table while the likelier one has this share of a slot. Rarer values cost less as escapes
# than the slot that every rank must be given would cost all others.
SMALLEST_SHARE = 0.35
# Probability of an escape that never occurs, so that it gets its one slot.
LEAST_ESCAPE = 1e-7
# Weights of a component of a mixture, in 2^-16.
LARGEST_WEIGHT, LEAST_WEIGHT = 65535, 4


@dataclass(frozen=True)
class CodingTable:
    """One table: `frequencies` of its ranks, the escape last; `mode`, `sign` and `raw_bits` map ranks to values."""

    frequencies: tuple[int, ...]
    raw_bits: int = 0
    mode: int = 0
    sign: int = 1


def gaussian_scales() -> FloatArray:
    """(64,) standard deviations, evenly spaced in their logarithm from 0.11 to 256."""
    return np.exp(np.linspace(math.log(SCALE_BOUND), math.log(LARGEST_SCALE), SCALES))


def gaussian_scale_boundaries() -> FloatArray:
    """(63,) scales at which the nearest table changes: geometric means of neighbours.

    Nearest in the logarithm costs 0.2 % fewer bits than taking the next larger scale.
    """
    scales = gaussian_scales()
    return np.sqrt(scales[:-1] * scales[1:])


@dataclass(frozen=True)
class Density:
    """A family of densities around 0, one for each scale.

    cumulative: probability of less than a value, given the scale and the value. deviation: standard deviation at the
    scale 1.
    """

    cumulative: Callable[[float, float], float]
    deviation: float = 1.0

    def table(self, scale: float) -> CodingTable:
        """The table of one scale."""
        return symmetric_table(partial(self.cumulative, scale), scale * self.deviation)


def _gaussian_cumulative(scale: float, x: float) -> float:
    return 0.5 * math.erfc(-x / (scale * math.sqrt(2)))


def _logistic_cumulative(scale: float, x: float) -> float:
    decay = math.exp(-abs(x) / scale)
    return (decay if x < 0 else 1.0) / (1.0 + decay)


GAUSSIAN = Density(_gaussian_cumulative)
LOGISTIC = Density(_logistic_cumulative, math.pi / math.sqrt(3))


def scale_tables(density: Density) -> list[CodingTable]:
    """One table for each of `gaussian_scales`."""
    return [density.table(scale) for scale in gaussian_scales().tolist()]


def symmetric_table(cumulative: Callable[[float], float], deviation: float) -> CodingTable:
    """The table of a density that is symmetric about 0. deviation: its standard deviation."""

    def mass(low: int, high: int) -> float:
        # Computed in the lower tail, where the cumulative has all its digits.
        low, high = (low, high) if low + high <= 0 else (-high, -low)
        return cumulative(high + 0.5) - cumulative(low - 0.5)

    return _table(mass, raw_bits=_raw_bits(deviation), mode=0, sign=1)


def factorized_tables(density: FactorizedDensity, reach: int = 1 << 12) -> list[CodingTable]:
    """One table for each channel of `density`, for the symbols round(z - median).

    reach: symbols beyond +-reach count as having no mass; the escape carries them.
    """
    symbols = torch.arange(-reach, reach + 1, dtype=torch.float64)
    values = symbols.reshape(1, 1, -1) + density.medians.double().reshape(-1, 1, 1)
    with torch.no_grad():
        masses = _interval_masses(density, values).numpy()
    return [_factorized_table(channel) for channel in masses]


def _interval_masses(density: FactorizedDensity, values: torch.Tensor) -> torch.Tensor:
    """(C, 1, n) values to the (C, n) probabilities of the unit intervals around them, in float64."""
    precise = FactorizedDensity(density.channels).double()
    precise.load_state_dict(density.state_dict())
    lower, upper = precise.logits_cumulative(values - 0.5), precise.logits_cumulative(values + 0.5)
    side = -torch.sign(lower + upper)
    return torch.abs(torch.sigmoid(side * upper) - torch.sigmoid(side * lower))[:, 0]


def _factorized_table(masses: FloatArray) -> CodingTable:
    """The table of one channel. masses: (2 reach + 1,) probability of every symbol from -reach to reach."""
    reach = len(masses) // 2
    cumulative = np.concatenate([[0.0], np.cumsum(masses)])
    mode = int(masses.argmax()) - reach
    beside = [masses[min(max(mode + step + reach, 0), 2 * reach)] for step in (1, -1)]
    sign = 1 if beside[0] >= beside[1] else -1

    def mass(low: int, high: int) -> float:
        first, last = sorted((mode + sign * low, mode + sign * high))
        begin, end = np.clip([first + reach, last + reach + 1], 0, len(masses))
        return float(cumulative[end] - cumulative[begin])

    symbols = np.arange(-reach, reach + 1)
    # The spread about the mode, because that is where the ranks start; heavy tails are left to the escape.
    near = np.abs(symbols - mode) < reach // 2
    spread = math.sqrt(float((masses[near] * (symbols[near] - mode) ** 2).sum() / masses[near].sum()))
    return _table(mass, raw_bits=_raw_bits(spread), mode=mode, sign=sign)


def categorical_table(probabilities: FloatArray, lowest: int) -> CodingTable:
    """The table of a finite alphabet whose first symbol is the value `lowest`.

    probabilities: (symbols,), which may have more than one peak.
    """
    # Around the likeliest symbol few ranks are often enough; around the middle one all symbols have ranks.
    modes = {int(probabilities.argmax()), len(probabilities) // 2}
    candidates = [_Ranking.around(mode, probabilities) for mode in modes]
    ranking, kept = min(
        ((each, length) for each in candidates for length in range(1, min(len(each.masses), MAX_RANKS - 1) + 1)),
        key=lambda choice: _expected_bits(choice[0].masses, choice[1]),
    )
    escape = max(float(ranking.masses[kept:].sum()), LEAST_ESCAPE)
    frequencies = quantise_frequencies([*ranking.masses[:kept], escape])
    return CodingTable(tuple(frequencies), 0, lowest + ranking.mode, ranking.sign)


@dataclass(frozen=True)
class _Ranking:
    """An order of the symbols. masses: probability of every rank up to that of the last symbol; 0 of unused ranks."""

    mode: int
    sign: int
    masses: FloatArray

    @classmethod
    def around(cls, mode: int, masses: FloatArray) -> _Ranking:
        sign = 1 if masses[mode + 1 :].sum() >= masses[:mode].sum() else -1
        ranks = zigzag(sign * (np.arange(len(masses)) - mode))
        by_rank = np.zeros(ranks.max() + 1)
        by_rank[ranks] = masses
        return cls(mode, sign, by_rank)


def _expected_bits(masses: FloatArray, kept: int) -> float:
    """Approximate bits of a symbol when the ranks from `kept` on are escaped."""
    ranked = np.append(masses[:kept], masses[kept:].sum())
    frequencies = np.maximum(ranked * (PRECISION - np.count_nonzero(ranked * PRECISION < 1)), 1)
    behind = 5 + np.floor(np.log2(np.maximum(np.arange(len(masses)), 1)))
    return float(-(ranked * np.log2(frequencies / PRECISION)).sum() + (masses * behind)[kept:].sum())


def normal_tails(fraction: int = 6) -> tuple[int, ...]:
    """Mass of the normal distribution beyond every 2^-fraction standard deviations, in 2^-16, down to 0.

    With 6 bits, a line from one to the next is off by half a unit at most.
    """
    tails: list[int] = []
    while not tails or tails[-1] > 0:
        tails.append(round((1 << 16) * _gaussian_cumulative(1.0, -len(tails) / (1 << fraction))))
    return tuple(tails)


def softmax_weights(fraction: int) -> tuple[int, ...]:
    """Weights, in about 2^-16, of components whose logits are 0, 1, 2, ... times 2^-fraction less than the largest.

    They end in 0, where they would be less than LEAST_WEIGHT: a component of hardly any weight must not widen the
    window of values that have intervals.
    """
    count = math.ceil(math.log(LARGEST_WEIGHT / LEAST_WEIGHT) * (1 << fraction))
    return (*(round(LARGEST_WEIGHT * math.exp(-k / (1 << fraction))) for k in range(count)), 0)


def _raw_bits(spread: float) -> int:
    return max(0, math.ceil(math.log2(spread / WIDEST))) if spread > 0 else 0


def _table(mass: Callable[[int, int], float], raw_bits: int, mode: int, sign: int) -> CodingTable:
    """mass(low, high): probability that sign * (value - mode) lies in the integers low..high."""
    width, half = 1 << raw_bits, (1 << raw_bits) >> 1

    def share(rank: int) -> float:
        first = unzigzag(rank) * width - half
        return mass(first, first + width - 1)

    kept = [share(0)]
    for rank in range(1, MAX_RANKS - 2, 2):
        pair = [share(rank), share(rank + 1)]
        if rank > 1 and max(pair) * PRECISION < SMALLEST_SHARE:
            break
        kept += pair
    escape = max(1.0 - sum(kept), LEAST_ESCAPE)
    return CodingTable(tuple(quantise_frequencies([*kept, escape])), raw_bits, mode, sign)


def quantise_frequencies(masses: Sequence[float], total: int = PRECISION) -> list[int]:
    """Integers >= 1 that sum to `total` and code symbols of these probabilities in the fewest expected bits.

    The expected size is convex in every frequency, so moving one unit at a time from the symbol that loses least to the
    one that gains most ends in the optimum. Raises ValueError when there are more masses than units.
    """
    if len(masses) > total:
        raise ValueError(f"{len(masses)} symbols cannot share {total} units")
    p = np.asarray(masses, np.float64) / sum(masses)
    frequencies = np.maximum(1, np.round(p * total)).astype(np.int64)
    while True:
        gain = p * np.log2((frequencies + 1) / frequencies)
        loss = np.where(frequencies > 1, p * np.log2(frequencies / np.maximum(frequencies - 1, 1)), np.inf)
        up, down = int(gain.argmax()), int(loss.argmin())
        excess = int(frequencies.sum()) - total
        if excess == 0 and gain[up] <= loss[down]:
            return [int(f) for f in frequencies]
        if excess <= 0:
            frequencies[up] += 1
        if excess >= 0:
            frequencies[down] -= 1


def zigzag(values: IntArray) -> IntArray:
    """0, 1, -1, 2, -2, ... to 0, 1, 2, 3, 4, ..."""
    return np.where(values > 0, 2 * values - 1, -2 * values)


def unzigzag(rank: int) -> int:
    """The inverse of `zigzag` for one rank."""
    return (rank + 1) // 2 if rank & 1 else -(rank // 2)


def coded_bits(tables: Sequence[CodingTable], indices: IntArray, values: IntArray) -> float:
    """Ideal size in bits of integer `values`, each coded with the table of its index, raw bits and escapes included."""
    bits = 0.0
    for index in np.unique(indices):
        table = tables[index]
        frequencies = np.asarray(table.frequencies, np.float64)
        deviation = table.sign * (values[indices == index].astype(np.int64) - table.mode)
        half = (1 << table.raw_bits) >> 1
        rank = zigzag((deviation + half) >> table.raw_bits)
        escaped = rank >= len(frequencies) - 1
        cost = -np.log2(frequencies / PRECISION)[np.minimum(rank, len(frequencies) - 1)]
        escape_length = 4 + np.maximum(1, np.ceil(np.log2(zigzag(deviation) + 1.0)))
        bits += float((cost + np.where(escaped, escape_length, table.raw_bits)).sum())
    return bits
