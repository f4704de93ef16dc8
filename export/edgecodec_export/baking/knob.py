"""Knobs of families."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Range:
    """The values of a knob that stays an input of the encoder's graph: any from low to high."""

    low: float
    high: float
    default: float


@dataclass(frozen=True)
class Knob:
    """One knob.

    help: a line for people. range: of a knob that stays an input of the encoder's graph; None for one that is baked
    into weights.
    """

    name: str
    help: str
    range: Range | None = None
