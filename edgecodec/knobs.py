"""Values of knobs as callers give them. Which there are, a bundle says; which graph belongs to them, the library."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Real

from edgecodec.description import Knobs
from edgecodec.errors import InvalidArgument

#: Values of knobs by name, None for the bundle's default.
KnobChoice = Mapping[str, float | None]

#: The one knob that a coded picture carries, because encoder and decoder must agree on it.
QUALITY = "quality"


def asked(knobs: KnobChoice | None, shorthands: KnobChoice) -> dict[str, float]:
    """The values of both, without those that are None, which stands for the bundle's default.

    Raises InvalidArgument for a knob that is in both, for a name that is no text and for a value that is no number.
    """
    knobs = {} if knobs is None else knobs
    if not isinstance(knobs, Mapping) or not all(isinstance(name, str) for name in knobs):
        raise InvalidArgument(f"knobs is {knobs!r}", hint='give values by name, like {"alpha": 0.5}')
    if twice := sorted(knobs.keys() & shorthands.keys()):
        raise InvalidArgument(f"{' and '.join(twice)} given twice", where="knobs", hint="give each knob once")
    values = {name: value for name, value in {**knobs, **shorthands}.items() if value is not None}
    for name, value in values.items():
        if not isinstance(value, Real) or isinstance(value, bool):
            raise InvalidArgument(f"{name} is {value!r}", hint="give a number, if this is the name of a knob")
    try:
        return {name: float(value) for name, value in values.items()}
    except OverflowError as error:
        raise InvalidArgument("a knob has a value too large for a float", hint="give a smaller number") from error


def describe(knobs: Knobs) -> str:
    """For messages: "alpha=0.5 beta=3.84", or "no knobs"."""
    return " ".join(f"{name}={decimal(value)}" for name, value in sorted(knobs.items())) or "no knobs"


def decimal(value: float) -> str:
    """The shortest decimal that reads back as this very value: "2", "1.296875"."""
    return repr(float(value)).removesuffix(".0")
