"""A slow, plain implementation of the coding of label maps, written from docs/format.md, section 4.

It shares nothing with the native library and is what the library is compared with. A map is an array (rows, columns) of
integers; coded, it is the intervals of its decisions as pairs (start, width), out of 2^16.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Interval = tuple[int, int]
Labels = npt.NDArray[np.int64]

#: Positions of the neighbours: rows up, columns to the right.
NEIGHBOURS = ((0, -1), (1, 0), (1, 1), (1, -1), (1, 2), (1, -2), (0, -2), (2, 0), (2, 2), (2, -2))


@dataclass
class Context:
    """An adaptive binary context. probability: of yes, in 2^-24."""

    probability: int = 1 << 23
    decisions: int = 0

    def learn(self, yes: bool) -> None:
        share = (1 << 17) // (2 * self.decisions + 3)
        if yes:
            self.probability += (((1 << 24) - self.probability) * share) >> 16
        else:
            self.probability -= (self.probability * share) >> 16
        self.decisions = min(self.decisions + 1, 255)


def encode(labels: Labels, classes: int) -> list[Interval]:
    """The intervals of all decisions. Raises ValueError where a label is not 0 to classes - 1."""
    if labels.min() < 0 or labels.max() >= classes:
        raise ValueError(f"labels are {labels.min()} to {labels.max()}, not 0 to {classes - 1}")
    intervals = []

    def decide(probability: int, yes: bool) -> bool:
        intervals.append((0, probability) if yes else (probability, 65536 - probability))
        return yes

    walk(labels.copy(), classes, decide)
    return intervals


def decode(slots: Iterable[int], rows: int, columns: int, classes: int) -> Labels:
    """Decode labels from one slot, 0 to 65535, for each decision. Raises StopIteration if there are too few."""
    source: Iterator[int] = iter(slots)
    labels = np.zeros((rows, columns), np.int64)
    walk(labels, classes, lambda probability, _: next(source) < probability)
    return labels


def walk(labels: Labels, classes: int, decide: Callable[[int, bool], bool]) -> None:
    """Visit all decisions in order, and set the labels to what they say.

    decide(probability of yes, the decision that `labels` imply) returns the decision to take.
    """
    contexts: dict[tuple[object, ...], Context] = {}
    rows, columns = labels.shape

    def answer(a: tuple[object, ...], b: tuple[object, ...], yes: bool) -> bool:
        both = [contexts.setdefault(key, Context()) for key in (a, b)]
        probability = min(max((both[0].probability + both[1].probability) >> 9, 1), 65535)
        yes = decide(probability, yes)
        for context in both:
            context.learn(yes)
        return yes

    def neighbour(row: int, column: int, up: int, right: int) -> int:
        if up == 0 and column + right < 0:
            up, right = 1, -column
        if row < up:
            return 0
        return int(labels[row - up, min(max(column + right, 0), columns - 1)])

    for row in range(rows):
        for column in range(columns):
            label = int(labels[row, column])
            around = [neighbour(row, column, up, right) for up, right in NEIGHBOURS]
            labels[row, column] = _label(around, label, classes, answer)


def _label(
    around: list[int], label: int, classes: int, answer: Callable[[tuple[object, ...], tuple[object, ...], bool], bool]
) -> int:
    nearest = around[:4]
    mixed = sum(value << (8 * i) for i, value in enumerate(nearest)) * 0x9E3779B1 % (1 << 32) >> 16
    refused: list[int] = []
    for k, candidate in enumerate(dict.fromkeys(nearest)):
        if k + 1 >= classes:
            break
        alike = tuple(value == candidate for value in around)
        if answer(("values", mixed ^ k), ("shape", k, alike), label == candidate):
            return candidate
        refused.append(candidate)

    open_classes = set(range(classes)) - set(refused)
    low, node, size = 0, 1, 1
    while size < classes:
        size *= 2
    while size > 1:
        size //= 2
        lower, upper = (not open_classes.isdisjoint(range(first, first + size)) for first in (low, low + size))
        if lower and upper:
            goes_up = answer(("node", node), ("node beside", node, nearest[0]), label >= low + size)
        else:
            goes_up = not lower
        node = 2 * node + goes_up
        low += size if goes_up else 0
    return low
