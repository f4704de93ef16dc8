"""How people write amounts of memory."""

from __future__ import annotations

from math import ceil

_UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


def words(amount: float) -> str:
    """ "3.9 GB", "512 MB" or "10 KB"; rounded up, so that what is named as needed will do."""
    suffix = next((suffix for suffix in "GM" if amount >= _UNITS[suffix]), "K")
    return f"{ceil(10 * amount / _UNITS[suffix]) / 10:g} {suffix}B"
