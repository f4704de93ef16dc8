"""The machine's memory, and what a control group (a container) leaves of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from edgecodec.doctor.system_text import fields_of, number_in, text_of


@dataclass(frozen=True)
class Memory:
    """Bytes, None where unknown. available: what the system could give now. limit: the least that a control group of
    this process allows, None where none does.
    """

    total: int | None
    available: int | None
    limit: int | None


def memory(root: Path) -> Memory:
    fields = fields_of(root / "proc" / "meminfo")
    total, available = (_bytes(fields.get(name)) for name in ("MemTotal", "MemAvailable"))
    limits = [limit for limit in _limits(root) if total is None or limit < total]
    return Memory(total, available, min(limits, default=None))


def _bytes(field: str | None) -> int | None:
    """Of an entry like "65820356 kB"."""
    number, _, unit = (field or "").partition(" ")
    return int(number) * 1024 if number.isdecimal() and unit == "kB" else None


def _limits(root: Path) -> Iterator[int]:
    """Of every group that this process is in, and of those around it. Version 1 writes "no limit" as a huge number."""
    groups = root / "sys" / "fs" / "cgroup"
    for line in (text_of(root / "proc" / "self" / "cgroup") or "").splitlines():
        number, _, rest = line.partition(":")
        controllers, _, place = rest.partition(":")
        if number == "0":
            folder, name = groups, "memory.max"
        elif "memory" in controllers.split(","):
            folder, name = groups / "memory", "memory.limit_in_bytes"
        else:
            continue
        group = PurePosixPath(place.lstrip("/"))
        for each in (group, *group.parents):
            limit = number_in(folder / each / name)
            if limit is not None:
                yield limit
