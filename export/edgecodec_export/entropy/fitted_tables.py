"""Coding tables of residuals, fitted to photographs.

A float model says that a residual is normal, or logistic, with the scale that its network predicts. It learned that
with noise in place of rounding, where a residual that always rounds to 0 looks as wide as the noise, and from crops,
whose borders are near; and real tails are heavier. So the table of a predicted scale is made for a mixture of the
model's density at several widths. The weights of the widths are those of the greatest likelihood on the photographs
that calibrate the entropy model.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from edgecodec_export.entropy.coding_tables import (
    CodingTable,
    Density,
    FloatArray,
    IntArray,
    gaussian_scales,
    symmetric_table,
)

# Widths of the components, as parts of the predicted scale; the first is the model's own.
WIDTHS = np.array([1.0, *(2.0 ** (half / 2) for half in range(-2, 7) if half != 0)])
# So many residuals that are distributed as the model says are added to those of a scale. They keep the table of a scale
# that photographs hardly have.
PRIOR = 1000.0
ROUNDS = 300  # of expectation and maximisation
# Less likely magnitudes are escapes, and their number is no reason for a wider table.
LEAST_LIKELIHOOD = 2.0**-22


def fitted_tables(density: Density, residuals: Iterable[tuple[IntArray, IntArray]]) -> list[CodingTable]:
    """A table for each of `gaussian_scales`, symmetric about 0.

    density: what the model takes residuals for. residuals: of every photograph the indices of the predicted scales, and
    the residuals, both in the same shape.
    """
    indices, values = (np.concatenate([each.ravel() for each in part]) for part in zip(*residuals, strict=True))
    magnitudes = np.abs(values)
    return [
        _fitted_table(density, scale, magnitudes[indices == index])
        for index, scale in enumerate(gaussian_scales().tolist())
    ]


def _fitted_table(density: Density, scale: float, magnitudes: IntArray) -> CodingTable:
    """magnitudes: (n,) those seen at this scale."""
    scales = scale * WIDTHS
    # Beyond eight times the widest component's scale a residual is an escape, whatever the weights are. A damaged
    # checkpoint has residuals of any size.
    near = magnitudes[magnitudes < 8 * scales.max() + 2]
    if not near.size:
        return density.table(scale)
    counts = np.bincount(near)
    weights = _likeliest_weights(_masses(density, scales, max(len(counts), int(8 * scale) + 2)), counts)
    components = [(each, weight) for each, weight in zip(scales.tolist(), weights.tolist(), strict=True) if weight > 0]

    def mixture(x: float) -> float:
        return sum(weight * density.cumulative(each, x) for each, weight in components)

    return symmetric_table(mixture, scale * density.deviation)


def _masses(density: Density, scales: FloatArray, reach: int) -> FloatArray:
    """(reach, scales) probability of each magnitude, from 0 on."""
    below = [[density.cumulative(scale, -magnitude - 0.5) for scale in scales.tolist()] for magnitude in range(reach)]
    tails = 2 * np.array(below, np.float64)  # of both signs; the lower one has all digits
    return np.concatenate([1 - tails[:1], tails[:-1] - tails[1:]])


def _likeliest_weights(masses: FloatArray, counts: IntArray) -> FloatArray:
    """(components,) weights that sum to 1. masses: (magnitudes, components), of which the first is the prior's."""
    seen = PRIOR * masses[:, 0]
    seen[: len(counts)] += counts
    weights = np.full(masses.shape[1], 0.01)
    weights[0] += 1 - weights.sum()
    for _ in range(ROUNDS):
        weights = weights * (masses.T @ (seen / np.maximum(masses @ weights, LEAST_LIKELIHOOD)))
        weights /= weights.sum()
    return weights
