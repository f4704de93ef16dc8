"""A function in a process of its own, with a bound on its time. What hangs, crashes or prints there does so alone."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import subprocess
import sys
from importlib import import_module
from typing import Any

_PROGRAM = "from edgecodec.child_process import serve; serve()"
#: Seconds that a process gets to disappear after it was killed. One that waits for a driver may never do.
_FAREWELL = 0.5
_PR_SET_PDEATHSIG = 1


class ChildFailed(Exception):
    """The function did not return in time, raised, or its process ended. The message says which."""


def call_in_child(function: str, *arguments: Any, patience: float) -> Any:
    """What `function` ("package.module:name") returns for these arguments; all of it is carried as JSON.

    patience: seconds, the start of the process included. Raises ChildFailed.
    """
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    try:
        child = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM, function, json.dumps(arguments)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            start_new_session=True,  # so that what it has started can be ended with it
        )
    except OSError as error:
        raise ChildFailed(f"no process could be started: {error.strerror or error}") from error
    try:
        answer, _ = child.communicate(timeout=patience)
    except subprocess.TimeoutExpired:
        raise ChildFailed(f"gave no answer in {patience:g} s") from None
    finally:
        _end(child)
    try:
        kind, value = json.loads(answer)
    except ValueError:
        raise ChildFailed(_how_it_ended(child.returncode)) from None
    if kind == "raised":
        raise ChildFailed(value)
    return value


def serve() -> None:
    """In the child: call the function that its arguments name, and answer on standard output."""
    _end_with_parent()
    # Only the answer may be there, whatever libraries print.
    answer = os.fdopen(os.dup(1), "w", encoding="ascii")
    os.dup2(2, 1)
    function, arguments = sys.argv[1:]
    module, _, name = function.partition(":")
    try:
        result = ["returned", getattr(import_module(module), name)(*json.loads(arguments))]
    except Exception as error:
        result = ["raised", f"{type(error).__name__}: {error}"]
    with answer:
        json.dump(result, answer)
    os._exit(0)  # without waiting for threads that a library has left behind


def _end_with_parent() -> None:
    """On Linux: an interrupt that ends the parent leaves nothing behind, whatever hangs here."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _end(child: subprocess.Popen[bytes]) -> None:
    """Kill the child and what it has started, without waiting for what cannot be killed."""
    with contextlib.suppress(OSError):
        os.killpg(child.pid, signal.SIGKILL)
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(_FAREWELL)
    if child.stdout is not None:
        child.stdout.close()


def _how_it_ended(status: int | None) -> str:
    if status is None or status >= 0:
        return f"its process ended with status {status}"
    with contextlib.suppress(ValueError):
        return f"its process was ended by {signal.Signals(-status).name}"
    return f"its process was ended by signal {-status}"
