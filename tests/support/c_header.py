"""Reads the C headers."""

from __future__ import annotations

import re
from pathlib import Path


def declared_functions(header: Path) -> list[str]:
    """Names of the functions that a header declares as exported, in its order."""
    return re.findall(r"^EC_API [^(;]*?(\w+)\(", header.read_text(encoding="utf-8"), re.MULTILINE)
