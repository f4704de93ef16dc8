"""How fast work goes and how long the rest of it will take, and words for both."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable

#: Seconds that count for the pace: what was slow or fast before that says little about the rest.
WINDOW = 60.0


class Pace:
    """Of work of which one can say how much is done. clock: in seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._start = clock()
        self._marks = deque([(self._start, 0.0)])  # when how much was done: the last before the window, and all in it

    def mark(self, done: float) -> None:
        """So much is done now."""
        now = self._clock()
        self._marks.append((now, done))
        while len(self._marks) > 2 and self._marks[1][0] <= now - WINDOW:
            self._marks.popleft()

    def restart(self, done: float) -> None:
        """So much is done, and how fast that was says nothing about the rest."""
        self._marks = deque([(self._clock(), done)])

    def elapsed(self) -> float:
        """Seconds since the start."""
        return self._clock() - self._start

    def rate(self) -> float | None:
        """What is done in a second; None while nothing is."""
        (first, before), (last, done) = self._marks[0], self._marks[-1]
        return (done - before) / (last - first) if done > before and last > first else None

    def left(self, total: float) -> float | None:
        """Seconds until `total` is done at this rate; None where that cannot be told."""
        rate = self.rate()
        if rate is None:
            return None
        last, done = self._marks[-1]
        return max(0.0, (total - done) / rate - (self._clock() - last))


def duration(seconds: float) -> str:
    """Like "40 s", "3 min" or "2 h 05 min"."""
    if seconds < 59.5:
        return f"{math.ceil(seconds)} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"


def size(amount: float) -> str:
    """Bytes, like "12 kB", "3.4 MB" or "1.2 GB"."""
    if amount < 1e6:
        return f"{math.ceil(amount / 1e3)} kB"
    return f"{amount / 1e6:.1f} MB" if amount < 1e9 else f"{amount / 1e9:.1f} GB"


def rate(each_second: float, what: str) -> str:
    """Like "12 files/s", "2.5 files/s" or "40 files/min"."""
    per, value = ("s", each_second) if each_second >= 1 else ("min", 60 * each_second)
    return f"{value:.0f} {what}/{per}" if value >= 10 else f"{value:.1f} {what}/{per}"
