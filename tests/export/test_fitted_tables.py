"""Tables fitted to residuals: smaller where the model is wrong, and no larger where it is right."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecodec.entropy_model import EntropyModel
from edgecodec_export.calibration import to_tensor
from edgecodec_export.entropy.coding_tables import (
    GAUSSIAN,
    LOGISTIC,
    PRECISION,
    Density,
    IntArray,
    coded_bits,
    gaussian_scales,
    scale_tables,
)
from edgecodec_export.entropy.cost import EntropyCost, integer_bits_of, measure, summed
from edgecodec_export.entropy.entropy_file import Residual
from edgecodec_export.entropy.fitted_tables import fitted_tables
from support.make_tiny_bundle import tiny_pictures
from support.tiny_codecs import tiny_codec

SCALES = gaussian_scales()


def drawn(seed: int, count: int, widths: tuple[float, ...]) -> tuple[IntArray, IntArray]:
    """Indices of scales, and residuals: normal, each as many times as wide as its scale as one of `widths` says."""
    random = np.random.default_rng(seed)
    indices = random.integers(0, 40, count)
    residuals = np.rint(random.normal(size=count) * SCALES[indices] * random.choice(widths, count))
    return indices, residuals.astype(np.int64)


def test_residuals_that_are_as_the_model_says_take_no_more_bits() -> None:
    tables = fitted_tables(GAUSSIAN, [drawn(0, 200_000, (1.0,))])
    others = drawn(1, 200_000, (1.0,))
    assert coded_bits(tables, *others) < 1.0005 * coded_bits(scale_tables(GAUSSIAN), *others)


@pytest.mark.parametrize(("widths", "share"), [((0.7,), 0.965), ((1.0,) * 19 + (5.0,), 0.95), ((0.6, 2.0), 0.97)])
def test_residuals_that_are_not_take_fewer(widths: tuple[float, ...], share: float) -> None:
    """Other residuals than those of the fit; the best tables are those of the distribution that they come from."""
    tables = fitted_tables(GAUSSIAN, [drawn(0, 200_000, widths)])
    others = drawn(1, 200_000, widths)
    bits = coded_bits(tables, *others)
    assert bits < share * coded_bits(scale_tables(GAUSSIAN), *others)
    indices, residuals = others
    mixed = np.zeros(len(residuals))
    for width in widths:
        edges = [
            [GAUSSIAN.cumulative(scale * width, side - abs(value)) for side in (0.5, -0.5)]
            for scale, value in zip(SCALES[indices[:20_000]].tolist(), residuals[:20_000].tolist(), strict=True)
        ]
        mixed[:20_000] += np.subtract(*np.array(edges).T) / len(widths)
    ideal = -np.log2(mixed[:20_000]).sum()
    assert coded_bits(tables, indices[:20_000], residuals[:20_000]) < 1.006 * ideal


@pytest.mark.parametrize("density", [GAUSSIAN, LOGISTIC])
def test_scales_that_were_not_seen_keep_their_table(density: Density) -> None:
    indices, residuals = drawn(0, 5000, (3.0,))
    fitted, before = fitted_tables(density, [(indices, residuals)]), scale_tables(density)
    assert fitted[40:] == before[40:]
    assert fitted[:40] != before[:40]


def test_pictures_count_together() -> None:
    first, second = drawn(0, 4000, (2.0,)), drawn(1, 4000, (0.5,))
    indices, residuals = (np.concatenate(parts) for parts in zip(first, second, strict=True))
    assert fitted_tables(GAUSSIAN, [first, second]) == fitted_tables(GAUSSIAN, [(indices, residuals)])


@given(
    st.lists(
        st.tuples(st.integers(0, 63), st.integers(-(2**62), 2**62) | st.integers(-300, 300)), min_size=1, max_size=20
    )
)
def test_any_residuals_give_tables_that_can_be_coded_with(seen: list[tuple[int, int]]) -> None:
    indices, residuals = np.array(seen).T
    tables = fitted_tables(GAUSSIAN, [(indices, residuals)])
    for table in tables:
        assert sum(table.frequencies) == PRECISION
        assert min(table.frequencies) >= 1
        assert 2 <= len(table.frequencies) <= 64
        assert (table.mode, table.sign) == (0, 1)
    narrow = residuals.clip(-(2**15), 2**15 - 1)  # what files can hold
    assert np.isfinite(coded_bits(tables, indices, narrow))


def test_an_entropy_model_is_frozen_with_tables_of_its_photographs() -> None:
    """The second table set is that of the residuals."""
    freezer = tiny_codec("hyperprior").freezer()
    (picture,) = tiny_pictures(1)
    seen = freezer.observe(to_tensor(picture[:64, :128]))
    _, tables = freezer.freeze([seen]).table_sets
    assert list(tables) == fitted_tables(GAUSSIAN, [(seen.float_indices, seen.r)]) != scale_tables(GAUSSIAN)


def test_each_slice_has_tables_of_its_own() -> None:
    """Those of all photographs at all qualities together."""
    model: Any = tiny_codec("crdr")
    freezer, width = model.freezer(), model.latent_channels // model.slices
    pictures = [to_tensor(picture[:64, :128]) for picture in tiny_pictures(2)]
    seen = [freezer.observe(picture, quality) for picture in pictures for quality in (0.0, 4.0)]
    frozen = freezer.freeze(seen)
    _, *of_slices = frozen.table_sets
    used = [step.table_set for step in frozen.steps if isinstance(step, Residual)]
    assert used == list(range(1, 1 + model.slices)) and len(of_slices) == model.slices > 1
    for i, tables in enumerate(of_slices):
        own = slice(i * width, (i + 1) * width)
        assert list(tables) == fitted_tables(GAUSSIAN, [(each.indices[:, own], each.symbols[:, own]) for each in seen])
    assert of_slices[0] != of_slices[1]


@pytest.mark.parametrize("family", ["hyperprior", "crdr"])
def test_what_fitting_saves_is_told_apart_from_what_integers_cost(family: str) -> None:
    freezer: Any = tiny_codec(family).freezer()
    seen, *others = [freezer.observe(to_tensor(picture[:64, :128])) for picture in tiny_pictures(3)]
    assert freezer.density_bits(others) is None
    of_densities = freezer.float_bits(others)
    opened = EntropyModel(freezer.freeze([seen]).to_bytes())
    cost = measure(freezer, opened, others)
    assert cost.density_bits == of_densities
    assert cost.fitting_percent is not None
    assert abs(cost.overhead_percent) < 0.5 < abs(cost.fitting_percent)  # these weights are random
    whole = (1 + cost.overhead_percent / 100) * (1 + cost.fitting_percent / 100)
    assert whole == pytest.approx(sum(integer_bits_of(opened, each) for each in others) / of_densities)


def test_no_fitting_is_reported_where_none_was_done() -> None:
    """A kept entropy model is compared with the checkpoint's own densities."""
    freezer: Any = tiny_codec("hyperprior").freezer()
    seen = [freezer.observe(to_tensor(picture[:64, :128])) for picture in tiny_pictures(2)]
    kept = EntropyModel(tiny_codec("hyperprior").freezer().freeze(seen[:1]).to_bytes())
    cost = measure(freezer, kept, seen)
    assert cost.density_bits is cost.fitting_percent is None
    assert cost.float_bits == freezer.float_bits(seen)


def test_of_several_settings_the_whole_and_each_say_what_fitting_saves() -> None:
    fitted = EntropyCost(8, 900.0, 901, 0.15, density_bits=1000.0)
    whole = summed([replace(fitted, knobs={"quality": 0}), replace(fitted, knobs={"quality": 1}, density_bits=1400.0)])
    assert whole.density_bits == 2400 and whole.fitting_percent == pytest.approx(-25)
    assert [each.fitting_percent for each in whole.by_setting] == pytest.approx([-10, -35.714286])
    assert summed([fitted, replace(fitted, density_bits=None)]).density_bits is None
