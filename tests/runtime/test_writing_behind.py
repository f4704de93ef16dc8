"""An output that is being written when a signal comes is there whole, or not at all, when the command has ended."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from threading import Event
from types import FrameType

import pytest

from edgecodec import files
from edgecodec.cli.batch import Job
from edgecodec.cli.work import Item
from edgecodec.cli.writing import Writer

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
