"""Amounts of memory: what is free, and how people write them."""

from __future__ import annotations

import re
from math import ceil, inf
from pathlib import Path

from edgecodec.errors import InvalidArgument

_SUFFIXES = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_CGROUPS = Path("/sys/fs/cgroup")


def available() -> int | None:
    """Bytes that this process can still take without swapping, None where the system does not say (not Linux)."""
    amounts = [amount for amount in (_of_the_machine(), _of_the_container()) if amount is not None]
    return min(amounts, default=None)


def parse(text: str) -> int:
    """ "4G", "512M" or plain bytes; K, M, G and T are powers of 1024. Raises InvalidArgument."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?) ?([KMGT]?)(?:i?B)?", text.strip(), re.IGNORECASE)
    amount = float(match[1]) * _SUFFIXES[match[2].upper()] if match else inf
    if amount == inf:
        raise InvalidArgument(f"{text!r} is not an amount of memory", hint="like 4G or 512M")
    return int(amount)


def words(amount: float) -> str:
    """ "3.9 GB", "512 MB" or "10 KB", as `parse` takes them; rounded up, so that what is named as needed will do."""
    suffix = next((suffix for suffix in "GM" if amount >= _SUFFIXES[suffix]), "K")
    return f"{ceil(10 * amount / _SUFFIXES[suffix]) / 10:g} {suffix}B"


def _of_the_machine() -> int | None:
    return _field(Path("/proc/meminfo"), "MemAvailable:", 1 << 10)


def _of_the_container() -> int | None:
    """What the control group (version 2) leaves; cached files in it can be dropped."""
    try:
        path = Path("/proc/self/cgroup").read_text().partition("0::")[2].split("\n")[0]
        group = _CGROUPS / path.lstrip("/")
        group = group if group.is_dir() else _CGROUPS  # inside a container the path is the host's
        limit, used = ((group / name).read_text().strip() for name in ("memory.max", "memory.current"))
        if limit == "max":
            return None
        return max(0, int(limit) - int(used) + (_field(group / "memory.stat", "inactive_file", 1) or 0))
    except (OSError, ValueError):
        return None


def _field(file: Path, name: str, unit: int) -> int | None:
    try:
        lines = file.read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * unit for line in lines if line.split()[:1] == [name]), None)
