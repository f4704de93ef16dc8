"""Signals end a command by an exception, so that nothing half-written is left."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from types import FrameType

from edgecodec.cli.console import abandon

CLEANUP_SECONDS = 5.0

_Handler = Callable[[int, FrameType | None], object] | int | signal.Handlers | None

_came: list[tuple[int, float]] = []  # signals and when, since the command began

#: After which a process ends that waits for what must not end half-done. A disk may take many seconds to say that it
#: holds a file, and what has not been said yet would be left half-written.
LAST_RESORT_SECONDS = 60.0

#: Held by a thread while it does what must not end half-done. The main thread takes it before it exits.
unbroken = threading.Lock()


@contextmanager
def unwinding_on(*names: str) -> Iterator[None]:
    """Turn these signals, where the system has them, into SystemExit with 128 and their number, so that cleanup runs.

    That is how it ends even where a library turned the exception into one of its own.
    """
    if threading.current_thread() is not threading.main_thread():  # where Python takes no handlers
        yield
        return
    # Under nohup SIGHUP is ignored; leave it so.
    taken = {each: now for each, now in _handlers(names) if now in (signal.SIG_DFL, signal.default_int_handler)}
    _came.clear()

    def unwind(number: int, frame: FrameType | None) -> None:
        # Signals that follow at once must not interrupt the cleanup. Later ones may: Python drops an exception that is
        # raised in a destructor, and the first signal may have arrived in one.
        _came.append((number, monotonic()))
        if len(_came) == 1 or _came[-1][1] - _came[0][1] > CLEANUP_SECONDS:
            sys.exit(128 + number)

    for each in taken:
        signal.signal(each, unwind)
    try:
        with _silent_where_dropped():
            yield
    finally:
        for each, before in taken.items():
            # After the first signal cleanup is running: ignore further ones.
            signal.signal(each, signal.SIG_IGN if _came else before)
        end_if_told()


@contextmanager
def _silent_where_dropped() -> Iterator[None]:
    """Python writes a traceback when it drops an exception. Of one that a signal raised there is nothing to tell."""
    before = sys.unraisablehook

    def tell(dropped: sys.UnraisableHookArgs) -> None:
        if not (_came and issubclass(dropped.exc_type, SystemExit)):
            before(dropped)

    sys.unraisablehook = tell
    try:
        yield
    finally:
        sys.unraisablehook = before


@contextmanager
def asking_first(ask: Callable[[int], None], *names: str) -> Iterator[None]:
    """Let the first of these signals call `ask` with its number, for work that ends by itself when it is asked to.

    Further ones go to the handlers from before, which end a command at once under `unwinding_on`.
    """
    if threading.current_thread() is not threading.main_thread():  # where Python takes no handlers
        yield
        return
    # Under nohup SIGHUP is ignored; leave it so. None is a handler that was not set by Python and cannot be put back.
    taken = {each: now for each, now in _handlers(names) if now not in (signal.SIG_IGN, None)}

    def put_back() -> None:
        for each, before in taken.items():
            signal.signal(each, before)

    def first(number: int, frame: FrameType | None) -> None:
        put_back()
        ask(number)

    for each in taken:
        signal.signal(each, first)
    try:
        yield
    finally:
        put_back()


def _handlers(names: tuple[str, ...]) -> list[tuple[signal.Signals, _Handler]]:
    """The signals that the system has, and what handles each now."""
    numbers = [signal.Signals[name] for name in names if name in signal.Signals.__members__]
    return [(number, signal.getsignal(number)) for number in numbers]


def end_if_told() -> None:
    """Raise SystemExit if a signal told the command to end.

    Called where errors are handled and where work goes on: a library may have caught the first SystemExit. Imports of
    compiled modules, for example, turn it into an ImportError.
    """
    if _came:
        sys.exit(128 + _came[0][0])


@contextmanager
def leaving_threads_behind() -> Iterator[None]:
    """Exit at once, after all cleanup inside, where a signal came and a thread takes no notice of it.

    A call of native code that cannot be ended runs in such a thread, and the interpreter would wait for it. Only a
    thread that holds `unbroken` is waited for, and not for ever.
    """
    try:
        yield
    finally:
        if _came and any(not each.daemon for each in threading.enumerate() if each is not threading.main_thread()):
            for stream in (sys.stdout, sys.stderr):
                abandon(stream)
            unbroken.acquire(timeout=LAST_RESORT_SECONDS)
            os._exit(128 + _came[0][0])
