"""What a mutation is: one small edit of a source file, made by an operator."""

from __future__ import annotations

from dataclasses import dataclass

COMPARISON = "comparison turned"
CONSTANT = "constant off by one"
CHECK = "check deleted"
BRANCHES = "branches swapped"
CAST = "cast dropped"
BOOLEAN = "boolean operator turned"

#: What each comparison becomes: an ordering moves its bound by one, the others say the opposite.
TURNED = {"<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!=", "!=": "=="}
TURNED |= {"is": "is not", "is not": "is", "in": "not in", "not in": "in"}


@dataclass(frozen=True)
class Mutation:
    """Bytes `start` to `end` of the file become `replacement`; `line` counts from 1 and is where they start."""

    path: str
    line: int
    operator: str
    start: int
    end: int
    replacement: bytes

    @property
    def identity(self) -> str:
        """Names the mutation in results, as long as the file stays as it is."""
        return f"{self.path}:{self.line} {self.operator} @{self.start}-{self.end} {self.replacement.decode()}"

    def applied(self, source: bytes) -> bytes:
        return source[: self.start] + self.replacement + source[self.end :]

    def changed_lines(self, source: bytes) -> tuple[str, str]:
        """The first line that the mutation touches, before and after, without indentation."""
        index = source[: self.start].count(b"\n")
        before, after = source.split(b"\n"), self.applied(source).split(b"\n")
        return before[index].strip().decode(), after[index].strip().decode()
