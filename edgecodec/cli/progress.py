"""How far a command has come: a bar on a terminal, a line every half minute elsewhere, nothing under -q.

A command asks its console for it, around the work. Work of which one can count the items:

    with console.progress("decoding", total=500, unit="files") as progress:
        for ...:
            progress.part(3, 40)                    # within the item at hand: 3 of its 40 tiles are done
            progress.advance(read=size, written=size)  # one more item is done

Work in steps, which a function of the library tells in lines, some of them `edgecodec.steps.Step`:

    with console.progress("exporting") as progress:
        export_bundle(options, progress=progress.follow)

A step is a line of its own where there is no bar, as a record of what was done. `console.say` and the like may be
called meanwhile: the bar makes room. The library itself never prints; it takes callbacks such as `progress.follow`.
Only the process of the command draws: a worker process tells the first one what it has done.

All of it goes to standard error. There is a bar where that is a terminal which can move its cursor (TERM is not "dumb")
and the work takes longer than APPEARS.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Event, RLock, Thread
from time import monotonic
from typing import TYPE_CHECKING

from edgecodec.cli import pace
from edgecodec.cli.pace import Pace
from edgecodec.steps import Step

if TYPE_CHECKING:
    from edgecodec.cli.console import Console

#: Seconds of work before a bar is drawn, between two drawings of it, and between two lines where there is none.
APPEARS = 0.7
REDRAWN = 0.125
INTERVAL = 30.0

_TERMINALS_WITHOUT_CURSOR = ("dumb", "unknown")


def can_draw() -> bool:
    """Whether standard error is a terminal on which a bar can be drawn over and over."""
    return sys.stderr.isatty() and os.environ.get("TERM", "").lower() not in _TERMINALS_WITHOUT_CURSOR


class Progress:
    """What is known of the work, and when it is told. May be used by one thread at a time; `Console.progress` makes it.

    undisturbed: nothing is told but when the work itself calls, because the time that it takes is measured.
    """

    def __init__(
        self, console: Console, title: str, total: int, unit: str, *, step_level: int, undisturbed: bool
    ) -> None:
        self._console = console
        self._title = title
        self._unit = unit
        self._step_level = step_level
        self._undisturbed = undisturbed
        self._lock = RLock()  # what is told is what was true at one moment
        self._quiet = console.verbosity < 0
        self._draws = not self._quiet and can_draw()
        self._due = monotonic() + (APPEARS if self._draws else INTERVAL)
        self._begin(total)
        self._read = self._written = 0

    def _begin(self, total: int) -> None:
        self._total, self._done = total, 0
        self._step: Step | None = None
        self._notes: tuple[str, ...] = ()
        self._part, self._parts, self._of = 0, 0, ""
        self._reached = 0.0  # of the total; parts may begin anew, as in a search for a rate
        self._pace = Pace(monotonic)

    def advance(self, count: int = 1, *, read: int = 0, written: int = 0) -> None:
        """So many more items are done. read, written: their bytes."""
        with self._lock:
            self._done += count
            self._read += read
            self._written += written
            self._part = self._parts = 0
            self._notes = ()
            self._told()

    def part(self, done: int, count: int, of: str = "tile") -> None:
        """So many parts of the item at hand are done."""
        with self._lock:
            self._part, self._parts, self._of = done, count, of
            self._told()

    def note(self, *words: str) -> None:
        """More about the item or the step at hand, instead of what was noted before."""
        with self._lock:
            self._notes = words

    def follow(self, line: str) -> None:
        """A step comes next, unless it is the one at hand already; any other line is for people to read."""
        if not isinstance(line, Step):
            self._console.say(line)
            return
        if line == self._step:
            return
        if not self._draws or self._console.verbosity > self._step_level:
            self._console.say(line, level=self._step_level)
        with self._lock:
            if not line.follows(self._step):
                self._begin(line.total or 1)
            self._step = line
            self._done = max(0, line.number - 1)
            self._part = self._parts = 0
            self._notes = ()
            self._told()

    def share(self) -> float | None:
        """Of the work that is done, 0 to 1; None where that is not known."""
        return None if self._total <= 1 and self._parts <= 1 else min(1.0, self._reached / self._total)

    def words(self) -> list[str]:
        """What there is to say, the most important first."""
        words: list[str] = []
        step = self._step
        if step is not None:
            words.append(f"{step.kind} {step.number} of {step.total}" if step.kind else step)
        elif self._total > 1:
            words.append(f"{self._done} of {self._total} {self._unit}")
        if self._parts > 1:
            words.append(f"{self._of} {min(self._part + 1, self._parts)} of {self._parts}")
        words += filter(None, self._notes[:1])
        rate = self._pace.rate()
        if rate is not None and step is None and self._done > 1:
            words.append(pace.rate(rate, self._unit))
        left = self._pace.left(self._total)
        if left is None:
            words.append(f"{pace.duration(self._pace.elapsed())} so far")
        elif left >= 1:
            words.append(f"about {pace.duration(left)} left")
        if self._read or self._written:
            words += [f"{pace.size(self._read)} read", f"{pace.size(self._written)} written"]
        if step is not None and step.kind:
            words.append(step.text)
        words += self._notes[1:]
        return words

    def _told(self) -> None:
        reached = self._done + (self._part / self._parts if self._parts else 0.0)
        if reached > self._reached:
            if self._reached == 0 and self._part > 0:  # until then an engine was loaded, or an earlier run did it
                self._pace.restart(reached)
            self._reached = reached
            self._pace.mark(reached)
        if self._undisturbed and not self._quiet and monotonic() >= self._due:
            self._due = monotonic() + (REDRAWN if self._draws else INTERVAL)
            self._tell()

    def _tell(self) -> None:
        with self._lock:
            share, words = self.share(), self.words()
        if self._draws:
            self._console.draw_bar(self._title, share, words)
        else:
            self._console.say(f"{self._title}: {', '.join(words)}")

    @contextmanager
    def under_way(self) -> Iterator[Progress]:
        """Tell of it in here, from another thread: this one may be in a call of native code that takes minutes."""
        over = Event()
        teller = Thread(target=self._tell_until, args=[over], name="edgecodec-progress", daemon=True)
        try:
            if not self._quiet and not self._undisturbed:
                with suppress(RuntimeError):  # too many threads: the work is more important
                    teller.start()
            yield self
        finally:
            over.set()
            if teller.is_alive():
                teller.join()
            self._console.erase_bar()

    def _tell_until(self, over: Event) -> None:
        wait, again = (APPEARS, REDRAWN) if self._draws else (INTERVAL, INTERVAL)
        while not over.wait(wait):
            try:
                self._tell()
            except OSError:  # nobody is there any more, which the next line of the command will find out
                return
            wait = again
