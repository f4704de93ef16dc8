"""Names that come from files, as tables have them."""

from __future__ import annotations


def one_line(name: str) -> str:
    """`name` as a Python string shows it: printable text without an end of a line, and another one for each name.

    Names of files may hold any bytes, and what a bundle says of itself any text.
    """
    escaped = name.replace("\\", r"\\")
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in escaped)
