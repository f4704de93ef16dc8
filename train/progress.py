"""What training stages keep on disk while they run, and the schedule they follow."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from edgecodec import files


def resume(path: Path, parts: Mapping[str, Any]) -> int:
    """Load what `save_state` wrote into the same parts, if it has. Returns the steps that are done."""
    if not path.exists():
        return 0
    state = torch.load(path, weights_only=True)
    for name, part in parts.items():
        part.load_state_dict(state[name])
    return int(state["step"])


def save_state(path: Path, parts: Mapping[str, Any], step: int) -> None:
    """Write what a run resumes from: models, averages and optimisers. Killed meanwhile, it has the state before."""
    content = io.BytesIO()
    torch.save({name: part.state_dict() for name, part in parts.items()} | {"step": step}, content)
    files.write(path, content.getbuffer(), force=True)


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
