"""Lists and names in messages."""

from __future__ import annotations

LISTED = 12  # lines of one kind


def first_few(lines: list[str], what: str) -> list[str]:
    """The lines, or the first of very many and how many more there are. what: they all are."""
    if len(lines) <= LISTED:
        return lines
    return [*lines[:LISTED], f"and {len(lines) - LISTED} more {what}"]


def printable(name: str) -> str:
    """The name of a file as text, whatever its bytes are."""
    return name.encode("utf-8", "backslashreplace").decode()
