"""Amounts of memory as people write them."""

from __future__ import annotations

import re
from math import inf

from edgecodec.errors import InvalidArgument

_SUFFIXES = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


def parse(text: str) -> int:
    """ "4G", "512M" or plain bytes; K, M, G and T are powers of 1024. Raises InvalidArgument."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?) ?([KMGT]?)(?:i?B)?", text.strip(), re.IGNORECASE)
    amount = float(match[1]) * _SUFFIXES[match[2].upper()] if match else inf
    if amount == inf:
        raise InvalidArgument(f"{text!r} is not an amount of memory", hint="like 4G or 512M")
    return int(amount)
