"""Finite alphabets as they are frozen: exact in the native library, whatever symbols a picture has, at a fair price."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecodec.entropy_model import EntropyModel
from edgecodec_export.entropy.entropy_file import EntropyFile
from edgecodec_export.entropy.freezers import finite_alphabet, masked_prefix
from edgecodec_export.entropy.freezers.contexts import MOST_TABLES, count_symbols, freeze_contexts
from edgecodec_export.entropy.freezers.finite_alphabet import FiniteAlphabetFreezer
from edgecodec_export.entropy.freezers.masked_prefix import MaskedPrefixFreezer
from edgecodec_export.entropy.freezers.static_huffman import code_lengths, count_scanned
from edgecodec_export.families import Agustsson, Tunable
from support.exactness import assert_exact
from support.reference_integer_net import Integers
from support.reference_model_file import parse_model

SIDE = 96  # pixels of the pictures here
PREFIX_GRID, GENERATIVE_GRID, SELECTIVE_GRID = SIDE // 8, SIDE // 16, SIDE // 8


def pictures(count: int) -> list[torch.Tensor]:
    """(1, 3, SIDE, SIDE), smooth and noisy."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(count, 3, 6, 6, generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, size=(SIDE, SIDE), mode="bilinear")
    return list((smooth + 0.1 * torch.rand(count, 3, SIDE, SIDE, generator=generator)).clamp(0, 1).split(1))


@cache
def prefixes() -> tuple[MaskedPrefixFreezer, EntropyFile, list[masked_prefix.Observation]]:
    """A random compact codec whose symbols take all their values; and a picture that did not calibrate it, thrice."""
    torch.manual_seed(0)
    codec: Any = Tunable(Tunable.PRESETS["compact"]).eval().requires_grad_(False)
    codec.analysis.omega[1][1].weight.fill_(2)
    for norm in (module for module in codec.modules() if isinstance(module, torch.nn.BatchNorm2d)):
        norm.momentum = 1.0
    codec.train()(torch.cat(pictures(3)))
    freezer = codec.eval().freezer()
    measured, *calibrating = pictures(3)
    model = freezer.freeze([freezer.observe(image, n) for image in calibrating for n in (-2.0, -1.0, 0.0, 1.0, 2.0)])
    return freezer, model, [freezer.observe(measured, n) for n in (-2.0, 0.0, 2.0)]


@cache
def alphabet_codec(mode: str) -> Agustsson:
    torch.manual_seed(0)
    preset = Agustsson.PRESETS["compact" if mode == "GC" else "compact-sc"]
    model: Any = Agustsson(replace(preset, instance_norm="everywhere")).eval().requires_grad_(False)
    model.analysis[1].weight *= 4
    return model


@cache
def alphabets(mode: str) -> tuple[FiniteAlphabetFreezer, EntropyFile, list[finite_alphabet.Observation]]:
    freezer = alphabet_codec(mode).freezer()
    seen = [freezer.observe(image) for image in pictures(4)]
    return freezer, freezer.freeze(seen[1:]), seen[:1]


def test_an_observation_does_not_depend_on_those_before() -> None:
    """Not its mask either, which is another for another picture."""
    freezer = alphabet_codec("SC").freezer()
    first, second = (freezer.observe(image) for image in pictures(2))
    again = freezer.observe(pictures(2)[0])
    for name, values in first.latents.items():
        np.testing.assert_array_equal(again.latents[name], values, name)
    assert first.mask is not None and second.mask is not None and (first.mask != second.mask).any()


def exact(model: EntropyFile, latents: Mapping[str, Integers], lanes: int = 0) -> None:
    assert_exact(parse_model(model.to_bytes()), latents, SIDE, SIDE, lanes)


def bits(model: EntropyFile, latents: Mapping[str, Integers], side: int = SIDE) -> int:
    narrow = {name: values.astype(np.int16) for name, values in latents.items()}
    return EntropyModel(model.to_bytes()).bits(narrow, width=side, height=side)


@pytest.mark.parametrize("rate", range(3))
def test_prefixes_of_a_random_codec_are_exact(rate: int) -> None:
    _, model, seen = prefixes()
    assert np.unique(seen[0].symbols).tolist() == [0, 1, 2, 3]
    exact(model, seen[rate].latents)


@pytest.mark.parametrize("mode", ["GC", "SC"])
def test_alphabets_of_a_random_codec_are_exact(mode: str) -> None:
    _, model, seen = alphabets(mode)
    assert np.unique(seen[0].symbols).tolist() == [-2, -1, 0, 1, 2]
    exact(model, seen[0].latents)


@settings(max_examples=10)
@given(st.integers(0, 2**32), st.sampled_from([0.0, 0.3, 1.0]), st.sampled_from([0, 2, 8, 64]))
def test_any_prefixes_are_exact(seed: int, kept: float, lanes: int) -> None:
    """From none to all channels, of symbols that have nothing to do with those that were seen."""
    generator = np.random.default_rng(seed)
    _, model, _ = prefixes()
    symbols = generator.integers(0, 4, (16, PREFIX_GRID, PREFIX_GRID))
    lengths = generator.binomial(16, kept, (PREFIX_GRID, PREFIX_GRID))
    exact(model, {"symbols": symbols * (np.arange(16)[:, None, None] < lengths)}, lanes)


@settings(max_examples=10)
@given(st.integers(0, 2**32), st.sampled_from([0, 2, 8, 64]))
def test_any_symbols_are_exact(seed: int, lanes: int) -> None:
    generator = np.random.default_rng(seed)
    exact(alphabets("GC")[1], {"symbols": generator.integers(-2, 3, (8, GENERATIVE_GRID, GENERATIVE_GRID))}, lanes)


@settings(max_examples=10)
@given(st.integers(0, 2**32), st.sampled_from([0.0, 0.5, 1.0]), st.sampled_from([0, 2, 8, 64]))
def test_any_regions_are_exact(seed: int, kept: float, lanes: int) -> None:
    """Masks that are empty, full or noise, and label maps of noise."""
    generator = np.random.default_rng(seed)
    labels = np.repeat(np.repeat(generator.integers(0, 12, (1, SIDE // 16, SIDE // 16)), 16, 1), 16, 2)
    mask = generator.binomial(1, kept, (1, SELECTIVE_GRID, SELECTIVE_GRID))
    symbols = generator.integers(-2, 3, (8, SELECTIVE_GRID, SELECTIVE_GRID)) * mask
    exact(alphabets("SC")[1], {"labels": labels, "mask": mask, "symbols": symbols}, lanes)


def test_nothing_kept_costs_next_to_nothing() -> None:
    _, model, seen = alphabets("SC")
    nothing = {name: np.zeros_like(values) for name, values in seen[0].latents.items()}
    exact(model, nothing)
    assert bits(model, nothing) < 64
    full = nothing | {"mask": np.ones_like(nothing["mask"])}
    exact(model, full)
    assert bits(model, nothing) < bits(model, full)


def test_symbols_that_no_picture_has_can_be_coded_and_cost_the_others_nothing() -> None:
    """As in an import whose projection ends in a ReLU: symbols 0 to 2 only."""
    _, _, seen = alphabets("GC")
    generator = np.random.default_rng(0)
    rectified = [finite_alphabet.Observation(generator.integers(0, 3, (8, 60, 60))) for _ in range(3)]
    model = alphabet_codec("GC").freezer().freeze(rectified[1:])
    price = bits(model, rectified[0].latents, 60 * 16) / rectified[0].symbols.size
    assert price == pytest.approx(math.log2(3), rel=0.002)
    exact(model, seen[0].latents)
    exact(model, {"symbols": np.full((8, GENERATIVE_GRID, GENERATIVE_GRID), -2)})


@pytest.mark.parametrize("kind", ["prefixes", "GC", "SC"])
def test_integer_tables_cost_what_the_probabilities_promise(kind: str) -> None:
    freezer: Any
    freezer, model, seen = prefixes() if kind == "prefixes" else alphabets(kind)
    native = sum(bits(model, each.latents) for each in seen)
    assert native == pytest.approx(freezer.float_bits(seen), rel=0.02, abs=16)
    assert len(model.to_bytes()) < 100_000


def test_counts_are_those_of_a_plain_loop() -> None:
    generator = np.random.default_rng(2)
    values, limits = generator.integers(-1, 2, (3, 4, 5)), generator.integers(0, 4, (4, 5))
    expected = np.zeros((2, 3, 4, 4, 3), np.int64)
    for channel, row, column in np.ndindex(3, 4, 5):
        if channel >= limits[row, column]:
            continue
        neighbours = []
        for y, x in ((row, column - 1), (row - 1, column)):
            known = y >= 0 and x >= 0 and channel < limits[y, x]
            neighbours.append(values[channel, y, x] + 1 if known else 3)
        last = int(channel == limits[row, column] - 1)
        expected[last, channel, neighbours[0], neighbours[1], values[channel, row, column] + 1] += 1
    np.testing.assert_array_equal(count_symbols(values, -1, 3, limits, ends=True), expected)
    assert count_symbols(values, -1, 3, np.zeros((4, 5), np.int64)).sum() == 0
    assert count_symbols(values, -1, 3).sum() == values.size


def test_contexts_that_are_alike_share_a_table_and_others_do_not() -> None:
    counts = np.zeros((1, 2, 4, 4, 3), np.int64)
    counts[0, 0], counts[0, 1] = [8000, 1000, 1000], [1000, 1000, 8000]
    frozen = freeze_contexts(counts, -1)
    assert len(frozen.tables) == 2
    assert [len(np.unique(numbers)) for numbers in frozen.numbers[0]] == [1, 1]


def test_a_context_that_was_never_seen_is_taken_for_its_neighbours_in_other_channels() -> None:
    counts = np.zeros((1, 2, 4, 4, 3), np.int64)
    counts[:] = [800, 100, 100]
    counts[0, 0, 2, 2], counts[0, 1, 2, 2] = [100, 100, 800], 0
    frozen = freeze_contexts(counts, -1)
    assert frozen.numbers[0, 1, 2, 2] == frozen.numbers[0, 0, 2, 2] != frozen.numbers[0, 0, 0, 0]


def test_tables_are_few_however_different_contexts_are() -> None:
    generator = np.random.default_rng(3)
    counts = (1e6 * generator.dirichlet(np.full(4, 0.3), (2, 16, 5, 5))).astype(np.int64)
    assert len(freeze_contexts(counts, 0).tables) == MOST_TABLES


def test_static_huffman_is_the_papers() -> None:
    """Its example code, and a scan from the bottom row up that ends in a run of zeros."""
    assert code_lengths(np.array([[16, 8, 4, 2, 2]])).tolist() == [[1, 2, 3, 4, 4]]
    ends, full = [[0, 0, 0], [0, 2, 0], [1, 0, 3]], [[0, 0, 1], [0, 0, 0], [0, 0, 0]]
    counts = count_scanned(np.array([ends, full]), 4)
    assert counts.tolist() == [[2, 1, 1, 1, 1], [8, 1, 0, 0, 0]]
    assert count_scanned(np.zeros((1, 3, 3), np.int64), 4).tolist() == [[0, 0, 0, 0, 1]]


def test_what_the_bits_are_compared_with() -> None:
    _, _, seen = prefixes()
    static = prefixes()[0].compared_bits(seen)["static_huffman_bits"]
    assert static > sum(bits(prefixes()[1], each.latents) for each in seen)
    mask = alphabets("SC")[2][0].mask
    assert mask is not None
    for mode, kept in (("GC", GENERATIVE_GRID**2), ("SC", int(mask.sum()))):
        freezer, _, seen_alphabets = alphabets(mode)
        bound = freezer.compared_bits(seen_alphabets)["uniform_bound_bits"]
        assert bound == pytest.approx(kept * 8 * math.log2(5))
