"""Checks of the options that a recipe gives to a discriminator."""

from __future__ import annotations

from collections.abc import Sequence

from edgecodec.errors import InvalidArgument


def positive(name: str, value: int) -> int:
    """The value of the option `name`. Raises InvalidArgument unless it is a whole number from 1 up."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise InvalidArgument(f"{name} is {value!r}", hint="a whole number from 1 up")
    return value


def channel_counts(widths: Sequence[int]) -> tuple[int, ...]:
    """The option `widths`. Raises InvalidArgument unless it is one or more whole numbers from 1 up."""
    if isinstance(widths, str) or not isinstance(widths, Sequence) or not widths:
        raise InvalidArgument(f"widths is {widths!r}", hint="the channels of each layer, such as [64, 128, 256]")
    return tuple(positive("each of widths", width) for width in widths)


def one_of(name: str, value: str, allowed: Sequence[str]) -> str:
    """The value of the option `name`. Raises InvalidArgument unless it is an allowed one."""
    if value not in allowed:
        raise InvalidArgument(f"{name} is {value!r}", hint=f"one of {', '.join(allowed)}")
    return value
