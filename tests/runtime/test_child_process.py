"""What hangs, crashes or prints in a child process does so alone, and in bounded time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edgecodec.child_process import ChildFailed, call_in_child


def echo(*values: object) -> object:
    print("a library that talks")
    os.write(1, b"and one that does so below Python")
    return [*values]


def hang() -> None:
    time.sleep(600)


def hang_with_a_child(pid_file: str) -> None:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    Path(pid_file).write_text(str(child.pid))
    child.wait()


def crash() -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def leave() -> None:
    os._exit(3)


def fail() -> None:
    raise ValueError("no such thing")


def test_the_result_comes_back_whatever_is_printed() -> None:
    assert call_in_child(f"{__name__}:echo", 1, "two", None, patience=60) == [1, "two", None]


@pytest.mark.parametrize(
    ("function", "words"),
    [
        ("crash", "ended by SIGSEGV"),
        ("leave", "ended with status 3"),
        ("fail", "ValueError: no such thing"),
        ("missing", "AttributeError"),
    ],
)
def test_what_goes_wrong_in_the_child_is_told(function: str, words: str) -> None:
    with pytest.raises(ChildFailed, match=words):
        call_in_child(f"{__name__}:{function}", patience=60)


def test_a_child_that_hangs_is_ended() -> None:
    start = time.monotonic()
    with pytest.raises(ChildFailed, match=r"no answer in 0\.3 s"):
        call_in_child(f"{__name__}:hang", patience=0.3)
    assert time.monotonic() - start < 10


def test_what_a_hanging_child_has_started_is_ended_too(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    with pytest.raises(ChildFailed, match="no answer"):
        call_in_child(f"{__name__}:hang_with_a_child", str(pid_file), patience=2)
    deadline = time.monotonic() + 10
    while _is_running(int(pid_file.read_text())):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def _is_running(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


def test_a_machine_that_starts_no_process_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    with pytest.raises(ChildFailed, match="no process could be started"):
        call_in_child(f"{__name__}:echo", patience=60)
