"""Signals end a command as an interrupt does, so that nothing half-written is left."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import current_thread, main_thread
from time import monotonic
from types import FrameType

CLEANUP_SECONDS = 5.0


@contextmanager
def unwinding_on(*names: str) -> Iterator[None]:
    """Turn these signals, where the system has them, into SystemExit, so that cleanup runs."""
    if current_thread() is not main_thread():  # where Python takes no handlers
        yield
        return
    numbers = [signal.Signals[name] for name in names if name in signal.Signals.__members__]
    # Under nohup SIGHUP is ignored; leave it so.
    taken = [number for number in numbers if signal.getsignal(number) is signal.SIG_DFL]
    came: list[float] = []

    def unwind(number: int, frame: FrameType | None) -> None:
        # Signals that follow at once must not interrupt the cleanup. Later ones may: Python drops an exception that is
        # raised in a destructor, and the first signal may have arrived in one.
        came.append(monotonic())
        if len(came) == 1 or came[-1] - came[0] > CLEANUP_SECONDS:
            sys.exit(128 + number)

    for each in taken:
        signal.signal(each, unwind)
    try:
        yield
    finally:
        for each in taken:
            # After the first signal cleanup is running: ignore further ones.
            signal.signal(each, signal.SIG_IGN if came else signal.SIG_DFL)
