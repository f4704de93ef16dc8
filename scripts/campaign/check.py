"""What a campaign consists of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Check:
    """run: returns what was found, or raises."""

    subject: str
    run: Callable[[], str]


@dataclass(frozen=True)
class Result:
    passed: bool
    detail: str
