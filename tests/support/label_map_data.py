"""Label maps for tests, like those of streets: areas with rough borders, thin poles, small things and specks."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def street(rows: int, columns: int, classes: int, seed: int) -> npt.NDArray[np.int16]:
    """A map (rows, columns) of labels 0 to classes - 1, the same for the same arguments."""
    generator = np.random.default_rng(seed)
    row, column = np.mgrid[:rows, :columns]
    labels = np.full((rows, columns), generator.integers(classes))
    for _ in range(3):
        horizon = generator.integers(rows) + np.cumsum(generator.integers(-1, 2, columns))
        labels[row >= horizon] = generator.integers(classes)
    for _ in range(4):
        left, top, bottom = generator.integers(columns), *np.sort(generator.integers(0, rows + 1, 2))
        labels[top:bottom, left : left + generator.integers(1, 3)] = generator.integers(classes)
    for _ in range(6):
        y, x, radius = generator.integers(rows), generator.integers(columns), generator.integers(1, 2 + rows // 8)
        labels[(row - y) ** 2 + (column - x) ** 2 < radius**2] = generator.integers(classes)
    specks = generator.random((rows, columns)) < 0.002
    labels[specks] = generator.integers(classes, size=np.count_nonzero(specks))
    return labels.astype(np.int16)


def noise(rows: int, columns: int, classes: int, seed: int) -> npt.NDArray[np.int16]:
    """As `street`, but every label is drawn alone."""
    return np.random.default_rng(seed).integers(classes, size=(rows, columns), dtype=np.int16)
