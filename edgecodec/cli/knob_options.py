"""Options for knobs: any knob by --knob, and shorthands for those that are common.

The shorthands are all that the command line knows of knobs. A knob without one is given by --knob.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Annotated, Any, TypeVar

from typer import Option

from edgecodec.errors import InvalidArgument

_GENERAL = "knob"

Value = TypeVar("Value")

_EncoderKnob = Annotated[list[str] | None, Option(metavar="NAME=VALUE", help="Any knob of the encoder; see inspect.")]
_DecoderKnob = Annotated[list[str] | None, Option(metavar="NAME=VALUE", help="Any knob of the decoder; see inspect.")]


@dataclass(frozen=True)
class EncoderKnobs:
    """Knobs of an encoder. None: the bundle's default."""

    quality: Annotated[
        float | None,
        Option(metavar="Q", help="Which exported quality, 0 for the smallest files. [default: bundle's]"),
    ] = None
    n: Annotated[float | None, Option("--n", metavar="N", help="Larger gives smaller files. [default: bundle's]")] = (
        None
    )
    knob: _EncoderKnob = None


@dataclass(frozen=True)
class DecoderKnobs:
    """Knobs of a decoder. None: the bundle's default."""

    alpha: Annotated[
        float | None, Option(metavar="A", help="Which exported decoder: larger is more realistic. [default: bundle's]")
    ] = None
    beta: Annotated[
        float | None, Option(metavar="B", help="Which exported decoder: larger is more realistic. [default: bundle's]")
    ] = None
    knob: _DecoderKnob = None


@dataclass(frozen=True)
class PointKnobs:
    """Lists of values of a decoder's knobs. None: every value that was baked."""

    alpha: Annotated[
        str | None, Option(metavar="A,A...", help="Decoders with these values. [default: all exported]")
    ] = None
    beta: Annotated[
        str | None, Option(metavar="B,B...", help="Decoders with these values. [default: all exported]")
    ] = None
    knob: Annotated[
        list[str] | None, Option(metavar="NAME=V,V...", help="Values of any knob of the decoder; see inspect.")
    ] = None


@dataclass(frozen=True)
class EitherKnobs:
    """Knobs of the encoder or the decoder, whichever is at work."""

    knob: Annotated[
        list[str] | None, Option(metavar="NAME=VALUE", help="Any knob of what is measured; see inspect.")
    ] = None


@dataclass(frozen=True)
class BakedKnobs:
    """Lists of values to bake. None: the family's choice."""

    alpha: Annotated[str | None, Option(metavar="A,A...", help="Decoders to bake, 0 (--ckpt-mse) to 1 (--ckpt).")] = (
        None
    )
    quality: Annotated[
        str | None,
        Option(metavar="Q,Q...", help="Qualities to bake, in steps of 1/64, for families that have them."),
    ] = None
    beta: Annotated[str | None, Option(metavar="B,B...", help="Realism to bake, for families that have it.")] = None
    knob: Annotated[
        list[str] | None, Option(metavar="NAME=V,V...", help="Values to bake of any knob of the family.")
    ] = None


@dataclass(frozen=True)
class GraphKnobs:
    """Lists of values by which graphs of a bundle are chosen. None: any value."""

    alpha: Annotated[str | None, Option(metavar="A,A...", help="Only graphs with these values. [default: all]")] = None
    quality: Annotated[str | None, Option(metavar="Q,Q...", help="Only graphs with these values. [default: all]")] = (
        None
    )
    beta: Annotated[str | None, Option(metavar="B,B...", help="Only graphs with these values. [default: all]")] = None
    knob: Annotated[
        list[str] | None, Option(metavar="NAME=V,V...", help="Only graphs with these values of any knob; see inspect.")
    ] = None


#: Names of knobs that have an option of their own, on either side.
ENCODER_SHORTHANDS, DECODER_SHORTHANDS = (
    tuple(field.name for field in fields(side) if field.name != _GENERAL) for side in (EncoderKnobs, DecoderKnobs)
)


@dataclass(frozen=True)
class MeasuredKnobs:
    """Lists of values at which to measure. None: every value, or some of a range."""

    alpha: Annotated[str | None, Option(metavar="A,A...", help="Only points with these values. [default: all]")] = None
    quality: Annotated[str | None, Option(metavar="Q,Q...", help="Only points with these values. [default: all]")] = (
        None
    )
    beta: Annotated[str | None, Option(metavar="B,B...", help="Only points with these values. [default: all]")] = None
    knob: Annotated[
        list[str] | None, Option(metavar="NAME=V,V...", help="Only points with these values of any knob; see inspect.")
    ] = None


_Options = EncoderKnobs | DecoderKnobs | PointKnobs | EitherKnobs | BakedKnobs | GraphKnobs | MeasuredKnobs


def chosen(options: EncoderKnobs | DecoderKnobs | EitherKnobs) -> dict[str, float]:
    """Values by knob. Raises InvalidArgument."""
    shorthands = {name: value for name, value in _shorthands(options) if value is not None}
    general = {name: parse_number(text, f"--knob {name}") for name, text in _general(options).items()}
    return _merged(shorthands, general)


def lists(options: PointKnobs | BakedKnobs | GraphKnobs | MeasuredKnobs) -> dict[str, tuple[float, ...]]:
    """Lists of values by knob. Raises InvalidArgument."""
    shorthands = {name: parse_numbers(text, f"--{name}") for name, text in _shorthands(options) if text is not None}
    general = {name: parse_numbers(text, f"--knob {name}") for name, text in _general(options).items()}
    return _merged(shorthands, general)


def parse_number(text: str, option: str) -> float:
    """One number. Raises InvalidArgument, naming the option, for anything else."""
    try:
        return float(text)
    except ValueError as error:
        raise InvalidArgument(f"{text!r} is not a number", where=option, hint="like 0.5") from error


def parse_numbers(text: str, option: str) -> tuple[float, ...]:
    """ "0,0.5,1" to its numbers. Raises InvalidArgument, naming the option, for anything else."""
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise InvalidArgument(f"{text!r} is not a list of numbers", where=option, hint="like 0,0.5,1") from error


def _shorthands(options: _Options) -> Iterator[tuple[str, Any]]:
    return ((field.name, getattr(options, field.name)) for field in fields(options) if field.name != _GENERAL)


def _general(options: _Options) -> dict[str, str]:
    """Texts by knob, of what --knob was given. Raises InvalidArgument."""
    texts: dict[str, str] = {}
    for given in options.knob or ():
        name, equals, text = given.partition("=")
        if not (name and equals):
            raise InvalidArgument(f"{given!r} is not NAME=VALUE", where="--knob", hint="like --knob alpha=0.5")
        if name in texts:
            raise InvalidArgument(f"{name} is given twice", where="--knob", hint="give each knob once")
        texts[name] = text
    return texts


def _merged(shorthands: dict[str, Value], general: dict[str, Value]) -> dict[str, Value]:
    if twice := sorted(shorthands.keys() & general.keys()):
        raise InvalidArgument(f"{' and '.join(twice)} given twice", where="--knob", hint="give each knob once")
    return shorthands | general
