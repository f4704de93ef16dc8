"""Knobs of families, and names of baked points after their values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from edgecodec.description import Knobs
from edgecodec.knobs import decimal


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


def label(knobs: Knobs) -> str:
    """The values of the knobs in one word, for example "beta3.84-quality2"; empty without knobs."""
    return "-".join(f"{knob}{decimal(value)}" for knob, value in sorted(knobs.items()))


def suffix(knobs: Knobs) -> str:
    """The label as the ending of a file's name: "-beta3.84-quality2"; empty without knobs."""
    return f"-{label(knobs)}" if knobs else ""
