"""Coding tables: valid for every density, optimally rounded, and close to the ideal size."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecodec_export.entropy.coding_tables import (
    GAUSSIAN,
    LOGISTIC,
    PRECISION,
    CodingTable,
    categorical_table,
    coded_bits,
    factorized_tables,
    gaussian_scales,
    normal_tails,
    quantise_frequencies,
    scale_tables,
    softmax_weights,
    unzigzag,
    zigzag,
)
from edgecodec_export.layers.densities import FactorizedDensity


def is_valid(table: CodingTable) -> bool:
    ranks = len(table.frequencies)
    return 2 <= ranks <= 64 and sum(table.frequencies) == PRECISION and min(table.frequencies) >= 1


def gaussian_mass(scale: float, value: int) -> float:
    below = (abs(value) - 0.5) / (scale * math.sqrt(2))
    above = (abs(value) + 0.5) / (scale * math.sqrt(2))
    return 0.5 * (math.erfc(below) - math.erfc(above))


def test_gaussian_tables_are_valid_and_symmetric() -> None:
    tables = scale_tables(GAUSSIAN)
    assert len(tables) == 64
    for scale, table in zip(gaussian_scales(), tables, strict=True):
        assert is_valid(table)
        assert scale / 2**table.raw_bits <= 6
        assert (table.mode, table.sign) == (0, 1)


def test_gaussian_tables_cost_at_most_a_tenth_of_a_percent_over_the_entropy() -> None:
    tables, scales = scale_tables(GAUSSIAN), gaussian_scales()
    for index in range(6, 64):
        values = np.arange(-int(12 * scales[index]) - 3, int(12 * scales[index]) + 4)
        masses = np.array([gaussian_mass(scales[index], value) for value in values.tolist()])
        entropy = -sum(mass * math.log2(mass) for mass in masses if mass > 0)
        each = [coded_bits(tables, np.array([index]), np.array([value])) for value in values]
        assert float(masses @ np.array(each)) < entropy * 1.001


def logistic_mass(scale: float, value: int) -> float:
    below, above = (abs(value) - 0.5) / (2 * scale), (abs(value) + 0.5) / (2 * scale)
    return 0.5 * (math.tanh(above) - math.tanh(below))


def test_logistic_tables_are_valid_and_cost_at_most_0_15_percent_over_the_entropy() -> None:
    tables, scales = scale_tables(LOGISTIC), gaussian_scales()
    assert len(tables) == 64
    for table in tables:
        assert is_valid(table)
        assert (table.mode, table.sign) == (0, 1)
    for index in range(0, 64, 3):
        reach = int(34 * scales[index]) + 3
        values = np.arange(-reach, reach + 1)
        masses = np.array([logistic_mass(scales[index], value) for value in values.tolist()])
        assert masses.sum() == pytest.approx(1, abs=1e-12)
        entropy = -sum(mass * math.log2(mass) for mass in masses if mass > 0)
        each = [coded_bits(tables, np.array([index]), np.array([value])) for value in values]
        assert float(masses @ np.array(each)) < entropy * 1.0015


def test_coded_bits_agrees_with_the_format_spelled_out() -> None:
    plain = CodingTable((8192, 4096, 2048, 1024, 1024), mode=3, sign=-1)
    # value 3: rank 0, 1 bit. 2: d = 1, rank 1, 2 bits. 4: d = -1, rank 2, 3 bits. 1: d = 2, rank 3, 4 bits.
    # 5: d = -2, rank 4 is the escape: 4 bits, then n - 1 in 4 bits and u = 4 in 3 bits.
    for value, bits in ((3, 1), (2, 2), (4, 3), (1, 4), (5, 4 + 4 + 3)):
        assert coded_bits([plain], np.array([0]), np.array([value])) == bits
    coarse = CodingTable((8192, 4096, 4096), raw_bits=2)
    # v = (d + 2) >> 2: d from -2 to 1 is rank 0, from 2 to 5 rank 1; each with two raw bits; 6 is escaped, u = 11.
    for value, bits in ((-2, 1 + 2), (1, 1 + 2), (2, 2 + 2), (5, 2 + 2), (6, 2 + 4 + 4)):
        assert coded_bits([coarse], np.array([0]), np.array([value])) == bits


@settings(max_examples=60)
@given(st.lists(st.floats(1e-9, 1.0), min_size=2, max_size=5), st.integers(8, 24))
def test_rounding_is_optimal(masses: list[float], total: int) -> None:
    weights = np.array(masses) / sum(masses)

    def expected_bits(frequencies: tuple[int, ...]) -> float:
        return float(-(weights * np.log2(np.array(frequencies) / total)).sum())

    found = quantise_frequencies(masses, total)
    assert sum(found) == total and min(found) >= 1
    rest = itertools.product(range(1, total), repeat=len(masses) - 1)
    best = min(expected_bits((*head, total - sum(head))) for head in rest if sum(head) < total)
    assert expected_bits(tuple(found)) <= best + 1e-9


def test_more_symbols_than_units_are_refused() -> None:
    with pytest.raises(ValueError, match="cannot share"):
        quantise_frequencies([1.0] * 9, 8)


def test_zigzag_and_its_inverse() -> None:
    assert zigzag(np.array([0, 1, -1, 2, -2])).tolist() == [0, 1, 2, 3, 4]
    assert [unzigzag(rank) for rank in range(5)] == [0, 1, -1, 2, -2]


def density_of(spread: torch.Tensor, centre: torch.Tensor, bend: float) -> FactorizedDensity:
    """Densities around `centre`, about `spread` wide; the stored medians stay at 0."""
    torch.manual_seed(4)
    density: Any = FactorizedDensity(len(spread))
    with torch.no_grad():
        density._matrix0 += torch.log(2.0 / spread).reshape(-1, 1, 1)
        density._bias0.copy_(-torch.nn.functional.softplus(density._matrix0) * centre.reshape(-1, 1, 1))
        density._factor0.fill_(bend)
        for later in (density._bias1, density._bias2, density._bias3, density._bias4):
            later.zero_()
    return density


def test_factorised_tables_cost_little_over_the_entropy_of_their_density() -> None:
    spread = torch.tensor([0.3, 1.0, 3.0, 10.0, 40.0, 150.0])
    centre = torch.tensor([0.0, 0.4, -2.3, 7.0, -30.0, 90.0])
    density = density_of(spread, centre, bend=0.5)
    tables = factorized_tables(density)
    assert all(is_valid(table) for table in tables)
    assert len({table.mode for table in tables}) > 3
    assert {table.sign for table in tables} == {-1, 1}
    values = torch.arange(-3000, 3001)
    with torch.no_grad():
        likelihood = density.likelihood(values.float().reshape(1, 1, 1, -1).expand(1, len(spread), 1, -1))[0, :, 0]
    for channel, masses in enumerate(likelihood.double().numpy()):
        masses = np.where(masses <= 1e-9, 0, masses)
        entropy = -sum(mass * math.log2(mass) for mass in masses if mass > 0)
        each = [coded_bits(tables, np.array([channel]), np.array([value])) for value in values.tolist()]
        assert float(masses @ np.array(each)) < entropy * 1.01 + 0.002


def test_the_likeliest_symbol_has_rank_0_and_the_likelier_neighbour_rank_1() -> None:
    density = density_of(torch.tensor([2.0, 2.0]), torch.tensor([5.3, -5.3]), bend=0.0)
    right, left = factorized_tables(density)
    assert (right.mode, right.sign) == (5, 1)
    assert (left.mode, left.sign) == (-5, -1)
    assert right.frequencies[0] >= right.frequencies[1] >= right.frequencies[2]


def test_a_density_far_from_its_median_or_without_spread_still_gives_valid_tables() -> None:
    density = density_of(torch.tensor([1e-3, 1e4]), torch.tensor([0.0, 0.0]), bend=0.0)
    assert all(is_valid(table) for table in factorized_tables(density))


def bits_of(table: CodingTable, lowest: int, counts: np.ndarray) -> float:
    each = [coded_bits([table], np.array([0]), np.array([lowest + place])) for place in range(len(counts))]
    return float(counts @ np.array(each))


@pytest.mark.parametrize("symbols", [1, 2, 3, 17, 63])
@pytest.mark.parametrize("concentration", [0.05, 1.0, 20.0])
def test_categorical_tables_cost_little_over_the_entropy(symbols: int, concentration: float) -> None:
    """Whatever the shape: one peak or many, anywhere in the alphabet."""
    generator = np.random.default_rng(symbols)
    for probabilities in generator.dirichlet(np.full(symbols, concentration), 20):
        table = categorical_table(probabilities, -3)
        assert is_valid(table)
        some = probabilities[probabilities > 0]
        entropy = float(-(some * np.log2(some)).sum())
        assert bits_of(table, -3, probabilities) < entropy * 1.005 + 0.002


@pytest.mark.parametrize("symbols", [1, 2, 5, 64])
def test_every_value_of_the_alphabet_can_be_coded(symbols: int) -> None:
    """Alike or impossible, up to the largest there is."""
    lowest = 32767 - symbols + 1
    alike = categorical_table(np.full(symbols, 1 / symbols), lowest)
    assert is_valid(alike)
    assert bits_of(alike, lowest, np.ones(symbols)) < symbols * (math.log2(symbols) + 1)
    assert is_valid(categorical_table(np.eye(symbols)[0], lowest))


def test_tails_of_the_normal_distribution_end_in_0_and_are_straight_enough() -> None:
    tails = np.array(normal_tails())
    assert tails[0] == 32768 and tails[-1] == 0 < tails[-2]
    assert (np.diff(tails) <= 0).all()
    places = np.arange(0, len(tails) - 1, 0.1)
    exact = [65536 * 0.5 * math.erfc(place / 64 / math.sqrt(2)) for place in places]
    assert np.abs(np.interp(places, range(len(tails)), tails) - exact).max() < 1
    assert 3 <= len(normal_tails(0)) < len(normal_tails(10)) <= 65535


@pytest.mark.parametrize("fraction", [0, 4, 8, 12])
def test_weights_fall_by_the_exponential_and_end_in_0(fraction: int) -> None:
    weights = softmax_weights(fraction)
    assert weights[0] == 65535 and weights[-1] == 0 and weights[-2] >= 4 and len(weights) <= 65535
    for place, weight in enumerate(weights[:-1]):
        assert abs(weight - 65535 * math.exp(-place / 2**fraction)) <= 0.5
