"""When a run ends before its last step: at a time limit, or because somebody asked."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import current_thread, main_thread
from types import FrameType

from edgecodec.errors import InvalidArgument

SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")


class Stopping:
    """Asked between steps. minutes: after which to stop, None for no limit."""

    def __init__(self, minutes: float | None = None) -> None:
        """Raises InvalidArgument for minutes below 0, and for what is no number."""
        if minutes is not None and not minutes >= 0:
            raise InvalidArgument(f"is {minutes:g}, not 0 or more", where="--minutes")
        self._deadline = None if minutes is None else time.monotonic() + 60 * minutes
        #: The signal that came, if any.
        self.signal: int | None = None

    def reason(self) -> str | None:
        """Why to stop now: "time", "signal" or None."""
        if self.signal is not None:
            return "signal"
        return "time" if self._deadline is not None and time.monotonic() >= self._deadline else None

    @contextmanager
    def on_signals(self) -> Iterator[None]:
        """Let interrupts and requests to terminate end the run after the step that is running; a second one at once."""
        if current_thread() is not main_thread():  # where Python takes no handlers
            yield
            return
        numbers = [signal.Signals[name] for name in SIGNALS if name in signal.Signals.__members__]
        # Under nohup SIGHUP is ignored; leave it so.
        before = {number: signal.getsignal(number) for number in numbers}
        taken = [number for number, handler in before.items() if handler is not signal.SIG_IGN]

        def stop(number: int, frame: FrameType | None) -> None:
            if self.signal is not None:
                sys.exit(128 + number)
            self.signal = number

        for number in taken:
            signal.signal(number, stop)
        try:
            yield
        finally:
            for number in taken:
                signal.signal(number, before[number])
