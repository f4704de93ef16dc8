"""Small text files of the kernel and the system, which may be missing."""

from __future__ import annotations

from pathlib import Path

from edgecodec.regular_file import open_regular

_MOST = 1 << 20  # bytes; the processors of a large server take half of that


def text_of(path: Path) -> str | None:
    """The beginning of a file without the zero that ends text of a device tree, or None where it cannot be read."""
    try:
        with open_regular(path) as file:
            return file.read(_MOST).decode("utf-8", "replace").strip("\0\n ")
    except (OSError, ValueError):
        return None


def fields_of(path: Path) -> dict[str, str]:
    """The lines "name : value" of a file; of names that repeat, the first."""
    fields: dict[str, str] = {}
    for line in (text_of(path) or "").splitlines():
        name, colon, value = line.partition(":")
        if colon:
            fields.setdefault(name.strip(), value.strip())
    return fields


def number_in(path: Path) -> int | None:
    """A file that is a number and nothing else."""
    text = text_of(path)
    return int(text) if text is not None and text.isascii() and text.isdecimal() else None
