"""Outputs are written, and made safe on the disk, while the next picture is being worked on.

A disk takes some milliseconds to say that it holds a file, in which the processor has nothing to do.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING

from edgecodec import files
from edgecodec.cli.signals import unbroken

if TYPE_CHECKING:
    from edgecodec.cli.work import Done, Item, Made


class Writer:
    """Writes one output at a time, and gives each outcome, in order, to `tell`. Leaving it waits for the last one,
    unless a signal comes while it begins; then who ends the process waits, by `unbroken`."""

    def __init__(self, tell: Callable[[Done | Exception], None]) -> None:
        self._tell = tell
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="edgecodec-writing")
        self._last: Future[None] | None = None

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._wait_for_file()
        finally:  # a signal may have ended the waiting, and a file must not be left half-written
            self._wait_for_file()
            self._thread.shutdown()

    def take(self, item: Item, made: Made | Exception, *, at_once: bool = False) -> None:
        """Begin to write what was made, when the output before it is written. at_once: end it, too."""
        self.wait()
        # Whoever reads a stream may take his time, and an interrupt must be able to end the waiting.
        if at_once or isinstance(made, Exception) or files.is_stream(item.job.output):
            self._write(item, made)
        else:
            self._last = self._thread.submit(self._write, item, made)

    def wait(self) -> None:
        """Until everything taken is written and told. Raises what `tell` raised."""
        self._wait_for_file()
        last, self._last = self._last, None
        if last is not None:
            last.result()

    def _wait_for_file(self) -> None:
        """On the outcome and not on the thread, which Python takes for ended once a signal has ended a wait for it."""
        if self._last is not None:
            wait([self._last])

    def _write(self, item: Item, made: Made | Exception) -> None:
        try:
            if isinstance(made, Exception):
                raise made
            with unbroken:
                files.write(item.job.output, made.data, force=item.force)
            outcome: Done | Exception = made.done
        except Exception as error:
            outcome = error
        self._tell(outcome)
