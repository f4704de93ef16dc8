"""What both training stages keep on disk while they run: a curve for people, and the schedule they follow."""

from __future__ import annotations

import csv
import math
from pathlib import Path


def append_row(curve: Path, **values: float) -> None:
    """Add a row to the CSV file `curve`, with a header line if it is new."""
    fresh = not curve.exists()
    with curve.open("a", newline="") as stream:
        writer = csv.writer(stream)
        if fresh:
            writer.writerow(values)
        writer.writerow([f"{value:.6g}" for value in values.values()])


def cosine(step: int, steps: int, first: float, last: float, warm_up: int = 0) -> float:
    """Half a cosine from `first` to `last` over `steps`, after a linear rise over `warm_up` steps."""
    rate = last + (first - last) * (0.5 + 0.5 * math.cos(math.pi * step / steps))
    return rate * min(1.0, (step + 1) / max(warm_up, 1))
