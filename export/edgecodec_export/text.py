"""Lists and names, in messages and of files."""

from __future__ import annotations

from collections.abc import Callable

from edgecodec.description import Knobs
from edgecodec.knobs import decimal

LISTED = 12  # lines of one kind

#: Receives a `Step` of an export before each, and other lines for people.
Progress = Callable[[str], object]


def first_few(lines: list[str], what: str) -> list[str]:
    """The lines; of a long list the first ones and a count of the rest. what: the words after "and 7 more"."""
    if len(lines) <= LISTED:
        return lines
    return [*lines[:LISTED], f"and {len(lines) - LISTED} more {what}"]


def label(knobs: Knobs) -> str:
    """The values of the knobs in one word, for example "beta3.84-quality2"; empty without knobs."""
    return "-".join(f"{knob}{decimal(value)}" for knob, value in sorted(knobs.items()))


def suffix(knobs: Knobs) -> str:
    """The label as the ending of a file's name: "-beta3.84-quality2"; empty without knobs."""
    return f"-{label(knobs)}" if knobs else ""


def printable(name: str) -> str:
    """The name of a file as valid text, with bytes that are not UTF-8 escaped."""
    return name.encode("utf-8", "backslashreplace").decode()
