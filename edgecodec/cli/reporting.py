"""Failures of a command: a message, and an exit status.

Exit statuses are those of errors.py, and 1: some of many inputs failed, 129, 130 and 143: ended by a hang-up, an
interrupt or a request to terminate, 141: nobody reads the output.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from edgecodec.cli.console import Console
from edgecodec.cli.shared_options import TalkOptions
from edgecodec.errors import CannotWrite, EdgecodecError, InternalError, OutOfMemory

_NOBODY_READS = 141  # as if SIGPIPE had ended the process


@contextmanager
def reporting(talk: TalkOptions) -> Iterator[Console]:
    """Whatever goes wrong inside becomes a message and an exit status."""
    console = Console(talk.json, -1 if talk.quiet else talk.verbose)
    try:
        yield console
    except typer.Exit:
        raise
    except BrokenPipeError:
        # The interpreter flushes standard output once more on its way out.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(_NOBODY_READS) from None
    except EdgecodecError as error:
        _fail(console, error)
    except MemoryError:
        _fail(console, OutOfMemory("not enough memory"))
    except OSError as error:
        _fail(console, CannotWrite(error.strerror or str(error), where=error.filename))
    except Exception as error:
        traceback.print_exc()
        _fail(
            console,
            InternalError(f"{type(error).__name__}: {error}", hint="this is a bug: please report the lines above"),
        )


def _fail(console: Console, error: EdgecodecError) -> None:
    console.error(error)
    raise typer.Exit(error.exit_status) from error
