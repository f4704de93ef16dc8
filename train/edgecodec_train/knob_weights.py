"""Weights of a loss that may depend on the knobs of the batch."""

from __future__ import annotations

from dataclasses import dataclass

from edgecodec.description import Knobs
from edgecodec.errors import InvalidArgument


@dataclass(frozen=True)
class Weight:
    """A number; or one number for each whole value of a knob; or one that grows or shrinks with a knob.

    In a recipe:

        weight = 2.0
        weight = { levels_of = "quality", values = [3.6, 1.8, 0.8, 0.4, 0.1] }
        weight = { times = "beta", value = 0.39 }       0.39 beta
        weight = { halved_by = "n", value = 325.0 }     325 / 2^n
    """

    value: float = 0.0
    values: tuple[float, ...] = ()
    levels_of: str | None = None
    times: str | None = None
    halved_by: str | None = None

    def __post_init__(self) -> None:
        if len([name for name in (self.levels_of, self.times, self.halved_by) if name]) > 1:
            raise InvalidArgument("depends on a knob in several ways", hint="keep one of levels_of, times, halved_by")
        if bool(self.values) != bool(self.levels_of):
            raise InvalidArgument("levels_of and values go together")
        if min((self.value, *self.values)) < 0:
            raise InvalidArgument("is a weight below 0")

    def at(self, knobs: Knobs) -> float:
        """The weight for a batch with these knobs. A knob that the batch does not have counts as 0."""
        if self.levels_of:
            return self.values[round(knobs.get(self.levels_of, 0.0))]
        if self.times:
            return self.value * knobs.get(self.times, 0.0)
        if self.halved_by:
            return self.value * 2.0 ** -knobs.get(self.halved_by, 0.0)
        return self.value

    @property
    def knobs(self) -> tuple[str, ...]:
        """The knobs that the weight depends on."""
        return tuple(name for name in (self.levels_of, self.times, self.halved_by) if name)

    def __bool__(self) -> bool:
        """Whether it is more than 0 anywhere."""
        return any((self.value, *self.values))


NOTHING = Weight()
