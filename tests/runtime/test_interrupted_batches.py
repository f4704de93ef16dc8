"""A batch that is interrupted says how far it came, truly, and how to go on."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from support.paths import ENVIRONMENT, PHOTOS, TINY

#: The command line, which gets a signal when it tells of the third picture.
INTERRUPTED = """
import signal, sys
from edgecodec import cli
from edgecodec.cli import work

number, direct = int(sys.argv.pop(1)), work.report
told = []

def report(console, job, *more):
    told.append(job)
    if len(told) == 3:
        signal.raise_signal(number)
    direct(console, job, *more)

work.report = report
cli.main()
"""
GOES_ON = "; the same command with --skip-existing goes on"


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of six photographs, of which the second is damaged."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(6):
        shutil.copy(PHOTOS[number % 3], folder / f"{number}.png")
    (folder / "1.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    return folder


def interrupted(number: int, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", INTERRUPTED, str(int(number)), *map(str, arguments), "-b", str(TINY)]
    default = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        for each in default:  # a shell in the background has interrupts ignored
            signal.signal(each, signal.SIG_DFL)
        done = subprocess.run(
            [*command, "--engine", "stub"], env=ENVIRONMENT, capture_output=True, text=True, timeout=60
        )
    finally:
        for each, handler in default.items():
            signal.signal(each, handler)
    assert done.returncode == 128 + number
    return done


@pytest.mark.parametrize(
    ("number", "options", "end"),
    [
        (signal.SIGINT, (), GOES_ON),
        (signal.SIGTERM, ("--jobs", 2, "-j", 1), GOES_ON),
        (signal.SIGTERM, ("--json", "--skip-existing"), "; the same command goes on"),
    ],
)
def test_the_last_line_counts_the_outputs_that_are_there(
    photos: Path, tmp_path: Path, number: signal.Signals, options: tuple[object, ...], end: str
) -> None:
    outcome = interrupted(number, "encode", photos, "-o", tmp_path / "coded", *options)
    done = len(list((tmp_path / "coded").iterdir()))
    last = outcome.stderr.splitlines()[-1]
    assert 3 <= done < 6 and re.fullmatch(rf"interrupted: {done} of 6 done, 1 failed{end}", last), last
    assert [json.loads(line)["ok"] for line in outcome.stdout.splitlines()] == [True, False, True] * (
        "--json" in options
    )


def test_what_is_overwritten_cannot_be_told_from_what_was(photos: Path, tmp_path: Path) -> None:
    """So outputs are counted that were told of, and no way to go on is promised."""
    outcome = interrupted(signal.SIGINT, "encode", photos, "-o", tmp_path / "coded", "--force")
    assert outcome.stderr.splitlines()[-1] == "interrupted: 2 of 6 done, 1 failed"


def test_quiet_is_quiet_when_interrupted(photos: Path, tmp_path: Path) -> None:
    outcome = interrupted(signal.SIGINT, "encode", photos, "-o", tmp_path / "coded", "-q")
    assert "interrupted" not in outcome.stderr and "1.png" in outcome.stderr
