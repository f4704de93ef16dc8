"""Failures of a command: a message, and an exit status.

Exit statuses are those of errors.py, and 1: some of many inputs failed, 129, 130 and 143: ended by a hang-up, an
interrupt or a request to terminate, 141: nobody reads the output.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from edgecodec.cli.console import Console, abandon
from edgecodec.cli.shared_options import TalkOptions
from edgecodec.cli.signals import end_if_told
from edgecodec.errors import typed

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
        raise typer.Exit(_NOBODY_READS) from None
    except Exception as error:
        end_if_told()
        failure = typed(error)
        console.error(failure)
        raise typer.Exit(failure.exit_status) from error
    finally:
        for stream in (sys.stdout, sys.stderr):
            abandon(stream)
