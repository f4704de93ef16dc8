"""Ranges of the numbers in a recipe, as annotations of its fields; `recipe.parse_recipe` refuses what is outside."""

from __future__ import annotations

import math
import sys
from typing import Annotated, NamedTuple

from edgecodec.errors import InvalidArgument


class Range(NamedTuple):
    """From low to high, both included."""

    low: float = -math.inf
    high: float = math.inf

    def check(self, number: float, place: str) -> None:
        """Raise InvalidArgument, at `place`, for a number outside."""
        if not self.low <= number <= self.high:
            upper = f"{self.low:g} or more" if self.high >= sys.float_info.max else f"{self.low:g} to {self.high:g}"
            raise InvalidArgument(f"is {number:g}, not {upper}", where=place)


Positive = Annotated[int, Range(1)]
Count = Annotated[int, Range(0)]
NotNegative = Annotated[float, Range(0, sys.float_info.max)]
Share = Annotated[float, Range(0, 1)]
#: Sides of crops, and pictures in a batch: more of them fits into no memory.
Side = Annotated[int, Range(1, 1 << 14)]
BatchSize = Annotated[int, Range(1, 1 << 14)]
#: Seeds of steps are made of it, which have to fit into 63 bits.
Seed = Annotated[int, Range(0, (1 << 31) - 1)]
