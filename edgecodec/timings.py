"""Time spent on a picture, by stage."""

from __future__ import annotations

from dataclasses import dataclass

from edgecodec import interface


@dataclass(frozen=True)
class Timings:
    """Seconds spent on one picture. engine: in the engine, its loading included. rest: cropping, padding and whatever
    else is not named.
    """

    parse: float
    entropy: float
    engine: float
    rest: float

    @property
    def total(self) -> float:
        return self.parse + self.entropy + self.engine + self.rest


def timings_of(found: interface.Timings) -> Timings:
    return Timings(found.parse, found.entropy, found.engine, found.rest)
