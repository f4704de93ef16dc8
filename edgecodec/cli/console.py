"""Output of commands: text for people on standard error, JSON lines for machines on standard output.

What comes from files, their names above all, is shown without characters that a terminal would obey.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import sys
import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import PurePath
from threading import RLock
from typing import TYPE_CHECKING, Any, TextIO

from edgecodec.errors import CannotWrite, EdgecodecError, InternalError
from edgecodec.files import STANDARD_OUTPUT

if TYPE_CHECKING:
    from edgecodec.cli.progress import Progress
    from edgecodec.cli.progress_bar import Bar


@dataclass
class Console:
    """json: one object a line on standard output.

    verbosity: -1 errors only, 0 one line a result, 1 and up more; from 2 on errors say where they were raised.
    """

    json: bool = False
    verbosity: int = 0
    _bar: Bar | None = field(default=None, init=False, repr=False)
    _lock: RLock = field(default_factory=RLock, init=False, repr=False)  # of the bar and of what is written beside it

    def say(self, line: str, level: int = 0) -> None:
        """A line for people, from this verbosity on."""
        if self.verbosity >= level:
            self._tell(line)

    def record(self, facts: Mapping[str, Any]) -> None:
        """A result for machines, if they were asked for. Paths become text, and numbers that JSON lacks become null.

        Raises CannotWrite.
        """
        if self.json:
            # Names of files can hold what standard output cannot.
            self._put(json.dumps(_finite(facts), default=_plain, ensure_ascii=True, allow_nan=False))

    def show(self, lines: Iterable[str]) -> None:
        """The text that a command was asked for, on standard output. Raises CannotWrite."""
        for line in lines:
            self._put(_visible(line))

    def error(self, error: EdgecodecError, job: Mapping[str, str] | None = None) -> None:
        """A failure, for both. job: the `input` that was worked on and its `output`, where there are any."""
        if error.__cause__ is not None and (isinstance(error, InternalError) or self.verbosity >= 2):
            for line in "".join(traceback.format_exception(error.__cause__)).splitlines():
                self._tell(line)
        hint = f" hint: {error.hint}{'' if error.hint.endswith('?') else '.'}" if error.hint else ""
        offset = f" (at byte {error.offset})" if error.offset is not None else ""
        where = "".join(f"{place}: " for place in _places(error.where, job["input"] if job else None))
        self._tell(f"edgecodec: error: {where}{error.message}{offset}.{hint}")
        facts = {
            **(job or {}),
            "ok": False,
            "code": error.name,
            "message": error.message,
            "where": error.where,
            "hint": error.hint,
            "offset": error.offset,
        }
        with contextlib.suppress(CannotWrite):  # standard output may be what failed
            self.record(facts)

    @contextmanager
    def progress(
        self,
        title: str,
        total: int = 1,
        unit: str = "files",
        *,
        step_level: int = 0,
        undisturbed: bool = False,
    ) -> Iterator[Progress]:
        """Tell how far the work in here has come.

        title: what is done, in a word. total: how many `unit` there are, unless the work names its steps.
        step_level: the verbosity from which on steps are lines. undisturbed: see Progress.
        """
        from edgecodec.cli.progress import Progress

        progress = Progress(self, title, total, unit, step_level=step_level, undisturbed=undisturbed)
        with progress.under_way():
            yield progress

    def draw_bar(self, title: str, share: float | None, words: Sequence[str]) -> None:
        """As Bar.draw; a bar that is there keeps its title."""
        from edgecodec.cli.progress_bar import Bar

        with self._lock:
            if self._bar is None:
                self._bar = Bar(sys.stderr, title)
            self._bar.draw(share, [_encodable(_visible(each), sys.stderr) for each in words])

    def erase_bar(self) -> None:
        with self._lock:
            if self._bar is not None:
                self._bar.close()
                self._bar = None

    @contextmanager
    def _beside_the_bar(self) -> Iterator[None]:
        """What is written in here takes the place of the bar, which is drawn again below it."""
        with self._lock:
            if self._bar is None:
                yield
                return
            self._bar.hide()
            try:
                yield
            finally:
                self._bar.show()

    def _tell(self, line: str) -> None:
        """A line on standard error, if anything can be written there: work goes on without an audience."""
        with self._beside_the_bar():
            try:
                print(_encodable(_visible(line), sys.stderr), file=sys.stderr, flush=True)
            except BrokenPipeError:
                raise
            except OSError:
                abandon(sys.stderr)

    def _put(self, line: str) -> None:
        """A line on standard output."""
        if sys.stdout is None:
            raise CannotWrite("is closed", where=STANDARD_OUTPUT)
        with self._beside_the_bar() if sys.stdout.isatty() else contextlib.nullcontext():
            try:
                print(_encodable(line, sys.stdout), flush=True)
            except BrokenPipeError:
                raise
            except OSError as error:
                raise CannotWrite(error.strerror or str(error), where=STANDARD_OUTPUT) from error


def occupy_standard_descriptors() -> None:
    """Open the null device under the numbers of streams that the process was started without.

    The next file would get such a number, and what a library prints would go into it. What is said to people goes to
    the null device too, and not to standard output.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    if sys.stderr is None:
        sys.stderr = os.fdopen(2, "w", closefd=False)


def abandon(stream: TextIO | None) -> None:
    """Let the interpreter flush `stream` into nothing at its end, where it would fail once more.

    Nothing is done where everything was written.
    """
    if stream is None:
        return
    try:
        stream.flush()
    except (OSError, ValueError):
        with contextlib.suppress(OSError, ValueError):  # a stream that is no file
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _visible(line: str) -> str:
    """`line` with characters that do not print, like those that move the cursor, written as in a Python string."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in line)


def _encodable(line: str, stream: TextIO) -> str:
    encoding = stream.encoding or "utf-8"
    return line.encode(encoding, "backslashreplace").decode(encoding)


def _finite(value: Any) -> Any:
    """`value` with None for every infinity and every float that is not a number, at any depth."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {name: _finite(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return value


def _plain(value: object) -> str:
    """Paths as text; anything else that JSON does not have is a mistake of ours."""
    if isinstance(value, PurePath):
        return str(value)
    raise TypeError(f"{type(value).__name__} in a record")


def _places(where: str | None, worked_on: str | None) -> list[str]:
    """Names before a message: the input, unless the place is that file or inside it, and the place."""
    within = where is not None and worked_on is not None and PurePath(where).is_relative_to(worked_on)
    return [place for place in (None if within else worked_on, where) if place is not None]
