"""Commands on a terminal: a pseudo-terminal of a fixed size, and what would stand on its screen."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from support.paths import ENVIRONMENT

ROWS, COLUMNS = 30, 100
_PATIENCE = 60.0  # seconds

_ESCAPE = re.compile(r"\x1b\[(\??)([0-9;]*)([A-Za-z])")
#: Select Graphic Rendition with a colour of the foreground or background.
COLOUR = re.compile(r"\x1b\[(?:\d+;)*(?:3[0-8]|4[0-8]|9\d|10\d)[;\d]*m")


@dataclass
class Screen:
    """What a terminal shows: only of what a bar and plain lines are made of. Lines that scroll away are kept.

    seen: every line as it was when something was written over it, or it was erased. has_cursor: whether it is visible.
    """

    lines: list[str] = field(default_factory=lambda: [""])
    seen: list[str] = field(default_factory=list)
    has_cursor: bool = True
    row: int = 0
    column: int = 0

    @property
    def text(self) -> list[str]:
        """The lines above the cursor, which stands at the beginning of an empty one."""
        assert self.column == 0 and not any(self.lines[self.row :]), self.lines
        return self.lines[: self.row]

    def write(self, text: str) -> None:
        place = 0
        while place < len(text):
            if escape := _ESCAPE.match(text, place):
                self._obey(*escape.groups())
                place = escape.end()
                continue
            character = text[place]
            place += 1
            if character == "\n":
                self.row += 1
                if self.row == len(self.lines):
                    self.lines.append("")
            elif character == "\r":
                self.column = 0
                self.seen.append(self.lines[self.row])
            else:
                assert character.isprintable(), repr(character)
                line = self.lines[self.row].ljust(self.column)
                self.lines[self.row] = line[: self.column] + character + line[self.column + 1 :]
                self.column += 1

    def _obey(self, private: str, number: str, command: str) -> None:
        match private + command:
            case "m":
                pass
            case "A":
                self.row = max(0, self.row - int(number or 1))
            case "K":
                assert number == "2", number
                self.seen.append(self.lines[self.row])
                self.lines[self.row] = ""
            case "?l" | "?h":
                assert number == "25", number
                self.has_cursor = command == "h"
            case other:
                raise AssertionError(f"this terminal does not know {other!r}")


@dataclass(frozen=True)
class Shown:
    """What a command wrote to the terminal, and its exit status. output: of a standard output elsewhere."""

    text: str
    status: int
    output: bytes = b""

    @property
    def screen(self) -> Screen:
        screen = Screen()
        screen.write(self.text)
        return screen


def on_terminal(
    command: Sequence[object],
    *,
    environment: dict[str, str] | None = None,
    captured: bool = False,
    act: Callable[[str, subprocess.Popen[bytes], int], bool] = lambda text, process, terminal: True,
) -> Shown:
    """Run a command whose standard streams are a terminal, which it controls.

    captured: whether its standard output is a pipe instead, for a command that writes little to it. act: is called with
    the text so far, the process and the terminal's descriptor whenever something was written, until it returns true.
    """
    terminal, side = pty.openpty()
    fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))

    def take_terminal() -> None:
        os.setsid()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # which is ignored in the background of a shell

    variables = {name: value for name, value in ENVIRONMENT.items() if name not in _OF_TERMINALS}
    process = subprocess.Popen(
        [str(each) for each in command],
        stdin=side,
        stdout=subprocess.PIPE if captured else side,
        stderr=side,
        env={**variables, "TERM": "xterm-256color", **(environment or {})},
        preexec_fn=take_terminal,
    )
    os.close(side)
    written = b""
    acted = False
    end = time.monotonic() + _PATIENCE
    try:
        while time.monotonic() < end and select.select([terminal], [], [], _PATIENCE)[0]:
            try:
                block = os.read(terminal, 1 << 16)
            except OSError:  # nobody has the other side open any more
                break
            if not block:
                break
            written += block
            acted = acted or act(written.decode(errors="replace"), process, terminal)
        output = process.stdout.read() if process.stdout is not None else b""
        status = process.wait(_PATIENCE)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()
        os.close(terminal)
    return Shown(written.decode(), status, output)


_OF_TERMINALS = {"NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES", "COLORTERM", "TTY_COMPATIBLE", "TTY_INTERACTIVE"}
