"""An output that is being written when a signal comes is there whole, or not at all, when the command has ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from threading import Event
from types import FrameType

import pytest

from edgecodec import files
from edgecodec.cli.batch import Job
from edgecodec.cli.work import Item
from edgecodec.cli.writing import Writer
from support.paths import ENVIRONMENT, PHOTOS, TINY

pytestmark = pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="the system has no timer that signals")


class Told(Exception):
    """Raised by a signal, as SystemExit is."""


def interrupt(number: int, frame: FrameType | None) -> None:
    raise Told


@pytest.mark.parametrize("place", ["leaving", "waiting"])
def test_a_signal_does_not_end_the_waiting_for_a_file(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, ended = Event(), Event()

    def slow(path: str, data: bytes, *, force: bool = False) -> None:
        begun.set()
        time.sleep(0.4)
        ended.set()

    class Output:
        data = b""
        done = None

    monkeypatch.setattr(files, "write", slow)
    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        with pytest.raises(Told), Writer(lambda outcome: None) as writer:
            writer.take(Item(Job("in", str(tmp_path / "out")), b""), Output())  # type: ignore[arg-type]
            assert begun.wait(5)
            signal.setitimer(signal.ITIMER_REAL, 0.1)
            if place == "waiting":
                writer.wait()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert ended.is_set()


#: A signal while the thread starts, after which nobody else knows that it runs.
_FORGETFUL = """
import os, signal, threading, time

fsync, start, begun = os.fsync, threading.Thread.start, threading.Event()

def slow(file):
    begun.set()
    time.sleep(0.5)
    fsync(file)

def interrupted(self):
    start(self)
    if self.name.startswith("edgecodec-writing"):
        begun.wait(30)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(10)

os.fsync, threading.Thread.start = slow, interrupted
"""


@pytest.mark.parametrize("processes", [1, 2])
def test_nothing_is_left_by_a_signal_while_the_writing_begins(processes: int, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(_FORGETFUL)
    coded = tmp_path / "coded"
    coded.mkdir()
    path = os.pathsep.join((str(tmp_path), ENVIRONMENT.get("PYTHONPATH", "")))
    command = [sys.executable, "-m", "edgecodec", "encode", *PHOTOS, "-b", TINY, "--engine", "stub", "-o", f"{coded}/"]
    command += ["--jobs", str(processes)]
    environment = ENVIRONMENT | {"PYTHONPATH": path}
    ended = subprocess.run(list(map(str, command)), env=environment, capture_output=True, timeout=60)
    assert ended.returncode == (143 if processes == 1 else 1), ended.stderr
    assert {each.suffix for each in coded.iterdir()} == {".edgc"}
