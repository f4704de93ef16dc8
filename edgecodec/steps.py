"""What long work says of itself while it goes on; whoever called for it decides whether anybody sees that."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

#: Receives how many parts of a picture are done, and how many there are.
Parts = Callable[[int, int], object]


@dataclass(frozen=True)
class Step:
    """What comes next. text: in words. kind, number, count: "graph", 3 and 8 for the third graph of eight; a count of 0
    where nothing is counted.
    """

    text: str
    kind: str = ""
    number: int = 0
    count: int = 0

    def __str__(self) -> str:
        return f"{self.kind} {self.number} of {self.count}: {self.text}" if self.count else self.text
