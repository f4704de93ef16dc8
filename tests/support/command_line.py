"""Runs the command line in this process, with buffers as its standard streams."""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
from dataclasses import dataclass
from typing import Any
from unittest import mock

import pytest

from edgecodec import cli


@dataclass(frozen=True)
class Outcome:
    """Exit status, standard output and standard error of a command."""

    status: int
    output: bytes
    talk: str

    @property
    def records(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.output.splitlines()]


def run_command(*arguments: object, stdin: bytes = b"") -> Outcome:
    """Run `edgecodec` with these arguments."""
    output, talk = io.BytesIO(), io.StringIO()
    text = io.TextIOWrapper(output, "utf-8", write_through=True)
    with (
        mock.patch.dict(os.environ, EDGECODEC_TEST_ENGINES="1"),
        mock.patch.object(sys, "argv", ["edgecodec", *map(str, arguments)]),
        mock.patch.object(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin))),
        contextlib.redirect_stderr(talk),
        contextlib.redirect_stdout(text),
        pytest.raises(SystemExit) as exited,
    ):
        cli.main()
    text.flush()
    return Outcome(int(exited.value.code or 0), output.getvalue(), talk.getvalue())
