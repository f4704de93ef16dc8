"""Amounts of memory: what is free, and how people write them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from math import ceil, inf
from pathlib import Path
from typing import NamedTuple

from edgecodec.errors import InvalidArgument

_SUFFIXES = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_CGROUPS = Path("/sys/fs/cgroup")
_MEMBERSHIP = Path("/proc/self/cgroup")
_STATUS = Path("/proc/self/status")
#: Limits of a process (ulimit -v and -d), and what of /proc/self/status counts against each.
_PROCESS_LIMITS = {"RLIMIT_AS": "VmSize:", "RLIMIT_DATA": "VmData:"}


class _Names(NamedTuple):
    """What control groups call things. droppable: files in memory that are also on the disk, of memory.stat."""

    limit: str
    used: str
    droppable: str


_VERSION_1 = _Names("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
_VERSION_2 = _Names("memory.max", "memory.current", "inactive_file")


def available() -> int | None:
    """Bytes that this process can still take without swapping, None where the system does not say (not Linux)."""
    amounts = (_of_the_machine(), *_of_the_groups(), *_of_the_process())
    return min((amount for amount in amounts if amount is not None), default=None)


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


def _of_the_groups() -> Iterator[int]:
    """What each control group that holds the process leaves, its own and those around it, where they have a limit.

    Inside a container the path is often the host's: what does not exist here is passed over, and the root remains.
    """
    try:
        lines = _MEMBERSHIP.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        hierarchy, controllers, path = line.split(":", 2)
        if hierarchy == "0":
            root, names = _CGROUPS, _VERSION_2
        elif "memory" in controllers.split(","):
            root, names = _CGROUPS / "memory", _VERSION_1
        else:
            continue
        own = root / path.lstrip("/")
        for group in (own, *own.parents):
            if group.is_relative_to(root) and (left := _left_in(group, names)) is not None:
                yield left


def _of_the_process() -> Iterator[int]:
    """What each limit of this process leaves."""
    try:
        import resource
    except ImportError:  # not a POSIX system
        return
    for limit, counted in _PROCESS_LIMITS.items():
        allowed, _ = resource.getrlimit(getattr(resource, limit))
        used = _field(_STATUS, counted, 1 << 10)
        if allowed != resource.RLIM_INFINITY and used is not None:
            yield max(0, allowed - used)


def _left_in(group: Path, names: _Names) -> int | None:
    try:
        limit, used = (int((group / name).read_text()) for name in (names.limit, names.used))
    except (OSError, ValueError):  # no such group, or its limit is the word "max"
        return None
    return max(0, limit - used + (_field(group / "memory.stat", names.droppable, 1) or 0))


def _field(file: Path, name: str, unit: int) -> int | None:
    try:
        lines = file.read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * unit for line in lines if line.split()[:1] == [name]), None)
