"""How the knobs of a training batch are drawn: one value for the whole batch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgecodec.errors import InvalidArgument


@dataclass(frozen=True)
class Draw:
    """A fixed value, one of several, or any in a range.

    In a recipe:

        n = -1.32                                                  the same for every batch
        n = { uniform = [-2.0, 2.0] }
        quality = { among = [0, 1, 2, 3, 4] }
        beta = { evenly = [0.0, 5.12], count = 101, first_share = 0.333 }

    evenly: one of `count` values from the first to the last. first_share: of the batches gets the first value, whatever
    the others get.
    """

    fixed: float | None = None
    uniform: tuple[float, ...] = ()
    among: tuple[float, ...] = ()
    evenly: tuple[float, ...] = ()
    count: int = 0
    first_share: float = 0.0

    def __post_init__(self) -> None:
        ways = [self.fixed is not None, bool(self.uniform), bool(self.among), bool(self.evenly)]
        if sum(ways) != 1:
            raise InvalidArgument("is drawn in no way or in several", hint="give one of uniform, among, evenly")
        if any(ends and (len(ends) != 2 or ends[0] >= ends[1]) for ends in (self.uniform, self.evenly)):
            raise InvalidArgument("is drawn from a range that is none", hint="give the lower and the upper end")
        if self.evenly and self.count < 2:
            raise InvalidArgument("is drawn evenly from fewer than 2 values", hint="give a count")
        if not 0 <= self.first_share <= 1:
            raise InvalidArgument(f"first_share is {self.first_share}", hint="give a share from 0 to 1")

    @property
    def bounds(self) -> tuple[float, float]:
        """The smallest and the largest value that can come."""
        values = (self.fixed,) if self.fixed is not None else self.uniform or self.evenly or self.among
        return min(values), max(values)

    def draw(self, generator: np.random.Generator) -> float:
        """A value, from `generator` alone."""
        if self.fixed is not None:
            return self.fixed
        if self.uniform:
            return float(generator.uniform(self.uniform[0], self.uniform[1]))
        values = self.among or tuple(np.linspace(self.evenly[0], self.evenly[1], self.count).tolist())
        if self.first_share and generator.random() < self.first_share:
            return values[0]
        return float(values[int(generator.integers(len(values)))])
