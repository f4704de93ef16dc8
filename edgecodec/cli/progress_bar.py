"""A bar on a terminal, drawn by rich, which takes some ten milliseconds to import: only for work that takes longer."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import TextIO

from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn
from rich.table import Column
from rich.text import Text

_ERASE_AND_SHOW_CURSOR = "\r\x1b[2K\x1b[?25h"


class Bar:
    """One line, which is erased at the end. For one thread at a time.

    Colours and width are rich's decision, which knows NO_COLOR, FORCE_COLOR and COLUMNS. A terminal that is gone is
    drawn on no more.
    """

    def __init__(self, stream: TextIO, title: str) -> None:
        self._stream = stream
        console = Console(file=stream, force_terminal=True, force_interactive=True, highlight=False)
        bar = min(30, max(8, console.width // 5))
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar),
            _Words(console, len(title) + bar + 3),  # with a space after each
            console=console,
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._progress.add_task(title, total=None, words=())
        self._works = True

    def draw(self, share: float | None, words: Sequence[str]) -> None:
        """share: of the work that is done, 0 to 1; None where nobody knows. words: the most important first."""
        (task,) = self._progress.tasks
        task.fields["words"] = words
        task.total, task.completed = (None, 0.0) if share is None else (1.0, share)
        self.show()

    def show(self) -> None:
        """Draw it, again if it was hidden."""
        self._try(self._progress.refresh if self._progress.live.is_started else self._progress.start)

    def hide(self) -> None:
        """Erase it, so that something else can be written in its place."""
        self._try(self._progress.stop)

    def close(self) -> None:
        """Erase it, also where an interrupt came while rich drew it and left rich without a clear idea of it."""
        with contextlib.suppress(Exception):
            self.hide()
        self._try(lambda: print(_ERASE_AND_SHOW_CURSOR, end="", file=self._stream, flush=True))

    def _try(self, draw: Callable[[], object]) -> None:
        if self._works:
            try:
                draw()
            except OSError:
                self._works = False


class _Words(ProgressColumn):
    """As many of a task's words as there is room for. taken: columns that others take."""

    def __init__(self, console: Console, taken: int) -> None:
        super().__init__(Column(no_wrap=True, overflow="ellipsis"))
        self._console = console
        self._taken = taken

    def render(self, task: Task) -> RenderableType:
        words: Sequence[str] = task.fields["words"]
        shown = "".join(words[:1])
        for each in words[1:]:
            if len(shown) + len(each) + 2 > self._console.width - self._taken:
                break
            shown += f", {each}"
        return Text(shown)
