"""Lists and names in messages."""

from __future__ import annotations

from collections.abc import Callable

LISTED = 12  # lines of one kind

#: Receives a line of text before each step of an export.
Progress = Callable[[str], object]


def first_few(lines: list[str], what: str) -> list[str]:
    """The lines; of a long list the first ones and a count of the rest. what: the words after "and 7 more"."""
    if len(lines) <= LISTED:
        return lines
    return [*lines[:LISTED], f"and {len(lines) - LISTED} more {what}"]


def printable(name: str) -> str:
    """The name of a file as valid text, with bytes that are not UTF-8 escaped."""
    return name.encode("utf-8", "backslashreplace").decode()
