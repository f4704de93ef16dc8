"""Mutants that no test can kill, with the reason for each: scripts/mutants/allowed.toml."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


@dataclass(frozen=True)
class Allowed:
    """The mutant of `path` whose line `before` becomes `after`; lines are compared without indentation."""

    path: str
    before: str
    after: str
    reason: str


def read_allowed(file: Path) -> dict[tuple[str, str, str], Allowed]:
    """The entries of the file by path, line before and line after."""
    entries = [Allowed(**entry) for entry in tomllib.loads(file.read_text(encoding="utf-8")).get("mutant", [])]
    return {(entry.path, entry.before, entry.after): entry for entry in entries}
