"""Memory: how much there is, and amounts as people write them."""

from __future__ import annotations

import ctypes
import re
from math import inf

from edgecodec import native
from edgecodec.errors import InvalidArgument

_SUFFIXES = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}

_UNKNOWN = (1 << 64) - 1


def parse(text: str) -> int:
    """ "4G", "512M" or plain bytes; K, M, G and T are powers of 1024. Raises InvalidArgument."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?) ?([KMGT]?)(?:i?B)?", text.strip(), re.IGNORECASE)
    amount = float(match[1]) * _SUFFIXES[match[2].upper()] if match else inf
    if amount == inf:
        raise InvalidArgument(f"{text!r} is not an amount of memory", hint="like 4G or 512M")
    return int(amount)


def available() -> int | None:
    """Bytes that are free for this process and its control group, None where the system does not say."""
    amount = ctypes.c_uint64()
    native.call(native.library().ec_core_available_memory, None, ctypes.byref(amount))
    return amount.value if amount.value != _UNKNOWN else None
