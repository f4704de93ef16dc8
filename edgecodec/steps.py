"""What long work says of itself while it goes on; whoever called for it decides whether anybody sees that."""

from __future__ import annotations

from collections.abc import Callable

#: Receives how many parts of the work at hand are done, and how many there are.
Parts = Callable[[int, int], object]


class Step(str):
    """A line that says what comes next, for whoever takes lines of text.

    number, total: 3 and 8 for the third of eight; a total of 0 where nothing is counted. kind: of what, "graph", for a
    line that shall name the numbers. text: the line without them.
    """

    text: str
    kind: str
    number: int
    total: int

    def __new__(cls, text: str, kind: str = "", number: int = 0, total: int = 0) -> Step:
        step = super().__new__(cls, f"{kind} {number} of {total}: {text}" if kind else text)
        step.text, step.kind, step.number, step.total = text, kind, number, total
        return step

    def of(self, subject: str) -> Step:
        """The same step, of what is named."""
        return Step(f"{subject}: {self.text}", self.kind, self.number, self.total)

    def follows(self, before: Step | None) -> bool:
        """Whether it is a later one of the same steps."""
        return (
            before is not None
            and (self.kind, self.total) == (before.kind, before.total)
            and 0 < before.number < self.number
        )
