"""Output of commands: text for people on standard error, JSON lines for machines on standard output."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from edgecodec.errors import EdgecodecError


@dataclass(frozen=True)
class Console:
    """json: one object a line on standard output. verbosity: -1 errors only, 0 one line a result, 1 and up more."""

    json: bool = False
    verbosity: int = 0

    def say(self, line: str, level: int = 0) -> None:
        """A line for people, from this verbosity on."""
        if self.verbosity >= level:
            print(line, file=sys.stderr, flush=True)

    def record(self, facts: Mapping[str, Any]) -> None:
        """A result for machines, if they were asked for. Paths become text."""
        if self.json:
            # Names of files can hold what standard output cannot.
            print(json.dumps(facts, default=_plain, ensure_ascii=True, allow_nan=False), flush=True)

    def show(self, text: str) -> None:
        """The text that a command was asked for, on standard output; characters it cannot encode are escaped."""
        encoding = sys.stdout.encoding
        print(text.encode(encoding, "backslashreplace").decode(encoding), flush=True)

    def error(self, error: EdgecodecError, job: Mapping[str, str] | None = None) -> None:
        """A failure, for both. job: the `input` that was worked on and its `output`, where there are any."""
        hint = f" hint: {error.hint}." if error.hint else ""
        offset = f" (at byte {error.offset})" if error.offset is not None else ""
        where = "".join(f"{place}: " for place in _places(error.where, job["input"] if job else None))
        print(f"edgecodec: error: {where}{error.message}{offset}.{hint}", file=sys.stderr, flush=True)
        self.record(
            {
                **(job or {}),
                "ok": False,
                "code": error.code,
                "error": type(error).__name__,
                "message": error.message,
                "where": error.where,
                "hint": error.hint,
                "offset": error.offset,
            }
        )


def _plain(value: object) -> str:
    """Paths as text; anything else that JSON does not have is a mistake of ours."""
    if isinstance(value, PurePath):
        return str(value)
    raise TypeError(f"{type(value).__name__} in a record")


def _places(where: str | None, worked_on: str | None) -> list[str]:
    """Names before a message: the input, unless the place is that file or inside it, and the place."""
    within = where is not None and worked_on is not None and PurePath(where).is_relative_to(worked_on)
    return [place for place in (None if within else worked_on, where) if place is not None]
