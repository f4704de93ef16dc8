"""Time spent on a picture, by stage."""

from __future__ import annotations

from dataclasses import dataclass

from edgecodec import interface
from edgecodec.engine import Copies


@dataclass(frozen=True)
class Timings:
    """Seconds spent on one picture. engine: in the engine, its loading included. upload, download: copies between the
    processor and the engine's device, where the engine tells; they are not part of `engine`. rest: cropping, padding
    and whatever else is not named.
    """

    parse: float
    entropy: float
    upload: float
    engine: float
    download: float
    rest: float

    @property
    def total(self) -> float:
        return self.parse + self.entropy + self.upload + self.engine + self.download + self.rest


def timings_of(found: interface.Timings, copies: Copies) -> Timings:
    """found: of the library, to which copies are a part of the engine's work."""
    engine = found.engine - copies.upload - copies.download
    return Timings(found.parse, found.entropy, copies.upload, engine, copies.download, found.rest)
