"""What a training run tells while it runs; the library itself prints nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Note:
    """A sentence for the user."""

    text: str


@dataclass(frozen=True)
class Progress:
    """About every second. loss: mean since the last validation. seconds_left: of this stage."""

    stage: str
    step: int
    steps: int
    steps_per_second: float
    seconds_left: float
    loss: float


@dataclass(frozen=True)
class Scored:
    """A validation. scores: the row that the curve has now. sheet: the file with pictures, where there are any."""

    stage: str
    step: int
    steps: int
    scores: Mapping[str, float]
    sheet: Path | None


@dataclass(frozen=True)
class StageDone:
    """A stage has all its steps. checkpoint: the averaged weights. skipped_steps: that taught nothing."""

    stage: str
    checkpoint: Path
    skipped_steps: int


@dataclass(frozen=True)
class Stopped:
    """The run ended early, with its state saved. reason: "time" or "signal". skipped_steps: of the stage so far."""

    stage: str
    step: int
    steps: int
    reason: str
    skipped_steps: int


Event = Note | Progress | Scored | StageDone | Stopped
Report = Callable[[Event], None]
