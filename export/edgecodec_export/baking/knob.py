"""Knobs of families."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Range:
    """The values of a knob that stays an input of the encoder's graph: any from low to high."""

    low: float
    high: float
    default: float


@dataclass(frozen=True)
class Knob:
    """One knob.

    side: who chooses its value. help: a line for people. range: of a knob that stays an input of the encoder's graph;
    None for one that is baked into weights.
    """

    name: str
    side: Literal["encoder", "decoder"]
    help: str
    range: Range | None = None
