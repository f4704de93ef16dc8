"""When a run ends before its last step: at a time limit, or because somebody asked."""

from __future__ import annotations

import time

from edgecodec.errors import InvalidArgument


class Stopping:
    """Asked between steps. minutes: after which to stop, None for no limit."""

    def __init__(self, minutes: float | None = None) -> None:
        """Raises InvalidArgument for minutes below 0, and for what is no number."""
        if minutes is not None and not minutes >= 0:
            raise InvalidArgument(f"is {minutes:g}, not 0 or more", where="--minutes")
        self._deadline = None if minutes is None else time.monotonic() + 60 * minutes
        #: The signal that asks to stop, if any came. Whoever handles the signals of the process sets it.
        self.signal: int | None = None

    def reason(self) -> str | None:
        """Why to stop now: "time", "signal" or None."""
        if self.signal is not None:
            return "signal"
        return "time" if self._deadline is not None and time.monotonic() >= self._deadline else None
