"""Time in which a process runs, without that in which it is stopped (SIGSTOP, Ctrl-Z, a suspended container).

No clock of the system says so: monotonic ones go on, and those of the processor count its threads and not their waits.
"""

from __future__ import annotations

import time
from threading import Event, Lock, Thread
from types import TracebackType

TICK = 1.0  # seconds
LONGEST_TICK = 10.0  # seconds that a busy machine may be late; more was a stop, and counts as so many


class WorkingClock:
    """A context in which time is counted. A thread looks at the clock every second, and is stopped with the process."""

    def __init__(self, tick: float = TICK, longest_tick: float = LONGEST_TICK) -> None:
        self._tick, self._longest = tick, longest_tick
        self._seconds, self._latest = 0.0, time.monotonic()
        self._lock, self._over = Lock(), Event()
        self._thread = Thread(target=self._run, name="working clock", daemon=True)

    def __enter__(self) -> WorkingClock:
        self._latest = time.monotonic()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def seconds(self) -> float:
        """Seconds of work since the context was entered."""
        with self._lock:
            now = time.monotonic()
            self._seconds += min(now - self._latest, self._longest)
            self._latest = now
            return self._seconds

    def _run(self) -> None:
        while not self._over.wait(self._tick):
            self.seconds()
