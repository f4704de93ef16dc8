"""Long work says how far it is: a bar on a terminal that leaves it clean, plain lines elsewhere, nothing under -q."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import edgecodec
from edgecodec.cli import pace, progress
from edgecodec.cli.console import Console
from edgecodec.cli.pace import Pace
from edgecodec.cli.progress import Progress
from edgecodec.cli.progress_bar import Bar
from edgecodec.codec import Codec
from edgecodec.steps import Step
from support.command_line import run_command
from support.paths import ENVIRONMENT, PHOTOS, TINY
from support.terminal import COLOUR, COLUMNS, Screen, Shown, on_terminal

FILES = 6

#: The command line with a bar at once and lines every tenth of a second, and pictures that take that long.
HASTY = """
import sys, time
import rich.progress  # whose import takes longer than a picture
from edgecodec import cli, codec
from edgecodec.cli import progress

progress.APPEARS = progress.REDRAWN = 0.01
progress.INTERVAL = 0.1
seconds = float(sys.argv.pop(1))
encode = codec.Codec.encode

def slowly(*arguments, **options):
    time.sleep(seconds)
    return encode(*arguments, **options)

codec.Codec.encode = slowly
cli.main()
"""
RESULT = re.compile(r"\S+\.png -> \S+\.edgc  \d+x\d+  \d+ bytes  [\d.]+ bpp  [\d.]+ s")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Small photographs."""
    made = tmp_path / "photos"
    made.mkdir()
    for number in range(FILES):
        shutil.copy(PHOTOS[number % len(PHOTOS)], made / f"{number}.png")
    return made


def _encoding(folder: Path, *options: object, seconds: float = 0.05) -> list[object]:
    command = [sys.executable, "-c", HASTY, seconds, "encode", ".", "-b", TINY, "--engine", "stub", "--force"]
    return ["env", "-C", folder, *command, *options]


def _bars(shown: Shown) -> list[str]:
    return [line for line in shown.screen.seen if line.startswith("encoding ")]


# ---- on a terminal ---------------------------------------------------------------------------------------------------


def test_a_batch_draws_a_bar_and_leaves_nothing_but_its_lines(folder: Path) -> None:
    (folder / "3.png").write_bytes(b"no picture")
    shown = on_terminal(_encoding(folder))
    assert shown.status == 1
    bar = re.compile(r"encoding [━╸╺]+ [2-5] of 6 files, [\d.]+ files/")
    assert any(map(bar.match, _bars(shown))), _bars(shown)
    assert COLOUR.search(shown.text)
    *lines, summary = shown.screen.text
    assert summary == "5 of 6 done, 1 failed" and shown.screen.has_cursor
    failure = lines.pop(3)
    assert failure.startswith("edgecodec: error: ./3.png: ")
    assert len(lines) == 5 and all(RESULT.fullmatch(line) for line in lines), lines


def test_work_that_is_soon_done_has_no_bar(folder: Path) -> None:
    """Nor is what draws it imported."""
    code = """
import sys
from edgecodec import cli
from edgecodec.cli import progress

progress.APPEARS *= 30  # on a machine that has other work
try:
    cli.main()
finally:
    assert "rich" not in sys.modules
"""
    command = ["env", "-C", folder, sys.executable, "-c", code, "encode", "0.png", "-b", TINY, "--engine", "stub"]
    shown = on_terminal(command)
    assert shown.status == 0 and "\x1b" not in shown.text and RESULT.match(shown.text), shown.text


def test_no_color_has_no_colours(folder: Path) -> None:
    shown = on_terminal(_encoding(folder), environment={"NO_COLOR": "1"})
    assert _bars(shown) and not COLOUR.search(shown.text)


def test_columns_are_the_width(folder: Path) -> None:
    """What there is no room for is left out, and no line is wrapped."""
    wide, narrow = on_terminal(_encoding(folder)), on_terminal(_encoding(folder), environment={"COLUMNS": "44"})
    assert 60 < max(map(len, _bars(wide))) <= COLUMNS
    assert max(map(len, _bars(narrow))) <= 44 and any(re.search("[2-5] of 6 files", line) for line in _bars(narrow))
    assert not any("written" in line for line in _bars(narrow)) and any("written" in line for line in _bars(wide))


def test_a_terminal_without_cursor_gets_lines(folder: Path) -> None:
    shown = on_terminal(_encoding(folder, seconds=0.1), environment={"TERM": "dumb", "FORCE_COLOR": "1"})
    assert "\x1b" not in shown.text
    assert re.search(r"^encoding: \d of 6 files, ", shown.text, re.MULTILINE)


def test_quiet_is_quiet(folder: Path) -> None:
    assert on_terminal(_encoding(folder, "-q")).text == ""


def test_objects_on_standard_output_are_whole(folder: Path) -> None:
    """Also where that is the same terminal."""
    apart = on_terminal(_encoding(folder, "--json"), captured=True)
    assert _bars(apart)
    assert [json.loads(line)["ok"] for line in apart.output.splitlines()] == [True] * FILES
    together = on_terminal(_encoding(folder, "--json"), environment={"COLUMNS": "80"})
    assert _bars(together)
    objects = [json.loads(line) for line in together.screen.text if line.startswith("{")]
    assert [each["output"] for each in objects] == [f"{number}.edgc" for number in range(FILES)]


def test_processes_draw_one_bar(folder: Path) -> None:
    shown = on_terminal(_encoding(folder, "--jobs", 2, "-j", 1))
    assert shown.status == 0 and _bars(shown)
    *lines, summary = shown.screen.text
    assert summary == "6 of 6 done" and all(RESULT.fullmatch(line) for line in lines)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_leaves_the_terminal_clean(folder: Path, number: signal.Signals) -> None:
    def interrupt(text: str, process: subprocess.Popen[bytes], terminal: int) -> bool:
        if "\x1b[?25l" not in text or re.search("[2-4] of 6 files", text) is None:
            return False
        process.send_signal(number)
        return True

    shown = on_terminal(_encoding(folder, seconds=0.2), act=interrupt)
    assert shown.status == 128 + number and shown.screen.has_cursor
    *results, last = shown.screen.text
    assert all(RESULT.fullmatch(line) for line in results), shown.screen.text
    assert re.fullmatch("interrupted: [2-5] of 6 done", last)
    assert {path.suffix for path in folder.iterdir()} == {".png", ".edgc"}


class _Interrupted(io.StringIO):
    """A terminal of whose writes the one of this number is interrupted."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self._number = number

    def write(self, text: str) -> int:
        self._number -= 1
        if self._number == 0:
            raise SystemExit(130)
        return super().write(text)


@pytest.mark.parametrize("number", range(1, 4))
def test_an_interrupt_while_it_draws_leaves_the_terminal_clean(number: int) -> None:
    terminal = _Interrupted(number)
    bar = Bar(terminal, "work")
    with pytest.raises(SystemExit):
        bar.draw(0.5, ["1 of 2 files"])
        bar.hide()
        bar.show()
    bar.close()
    screen = Screen()
    screen.write(terminal.getvalue())
    assert screen.has_cursor and screen.text == []


def test_a_terminal_that_is_gone_is_drawn_on_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = io.StringIO()
    bar = Bar(terminal, "work")
    bar.draw(0.5, ["1 of 2 files"])
    monkeypatch.setattr(terminal, "write", lambda text: os.close(-1))
    bar.draw(1.0, ["2 of 2 files"])
    bar.close()


def test_a_bar_can_lose_what_is_known() -> None:
    terminal = io.StringIO()
    bar = Bar(terminal, "work")
    halves = re.compile("[╸╺]")
    bar.draw(0.52, ["graph 2 of 4"])
    assert halves.search(terminal.getvalue())
    terminal.truncate(terminal.seek(0))
    bar.draw(None, ["golden pictures"])
    assert "golden pictures" in terminal.getvalue() and not halves.search(terminal.getvalue())


# ---- elsewhere -------------------------------------------------------------------------------------------------------


def _piped(folder: Path, *options: object) -> list[str]:
    command = [str(each) for each in _encoding(folder, *options, seconds=0.12)]
    environment = {**ENVIRONMENT, "FORCE_COLOR": "1", "TERM": "xterm-256color"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=True)
    assert "\x1b" not in done.stderr and "\r" not in done.stderr
    assert done.stdout == "" or all(json.loads(line)["ok"] for line in done.stdout.splitlines())
    return [line for line in done.stderr.splitlines() if line.startswith("encoding: ")]


def test_a_pipe_gets_a_line_every_interval(folder: Path) -> None:
    begun = time.monotonic()
    lines = _piped(folder, "--json")
    assert 3 <= len(lines) <= (time.monotonic() - begun) / 0.1, lines  # in 0.7 s or more, one each tenth of a second
    assert re.match(r"encoding: [2-6] of 6 files, [\d.]+ files/\w+, ", lines[-1])
    assert _piped(folder, "-q") == []


def test_a_reader_who_goes_away_ends_the_command_quietly(folder: Path) -> None:
    command = [str(each) for each in _encoding(folder, seconds=0.12)]
    with subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        assert process.stderr.readline().startswith(b"encoding: ")
        process.stderr.close()
        assert process.wait(timeout=60) == 141


# ---- what is said ----------------------------------------------------------------------------------------------------


class Clock:
    """Stands still unless it is told to go on."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(progress, "monotonic", made)
    return made


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What consoles say."""
    said: list[str] = []
    monkeypatch.setattr(Console, "_tell", lambda console, line: said.append(line))
    return said


def _progress(total: int = 1, unit: str = "files", verbosity: int = 0) -> Progress:
    return Progress(Console(verbosity=verbosity), "work", total, unit, step_level=0, undisturbed=False)


def test_the_time_left_is_that_of_the_pace_so_far() -> None:
    clock = Clock()
    found = Pace(clock)
    assert found.rate() is None and found.left(10) is None
    clock.now += 4
    found.mark(2)
    assert found.rate() == 0.5 and found.left(10) == 16
    clock.now += 3  # on the third
    assert found.rate() == 0.5 and found.left(10) == 13 and found.elapsed() == 7
    clock.now += 100
    assert found.left(10) == 0


def test_what_was_slow_long_ago_does_not_count() -> None:
    clock = Clock()
    found = Pace(clock)
    for number in range(1, 4):  # one every 100 s, and then ten in a second
        clock.now += 100
        found.mark(number)
    assert found.rate() == pytest.approx(0.01)
    for number in range(4, 1204):
        clock.now += 0.1
        found.mark(number)
    assert found.rate() == pytest.approx(10, rel=0.01)


def test_what_an_earlier_run_did_does_not_count() -> None:
    clock = Clock()
    found = Pace(clock)
    clock.now += 1
    found.restart(400)
    clock.now += 10
    found.mark(410)
    assert found.rate() == 1 and found.left(500) == 90 and found.elapsed() == 11


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.2, "1 s"), (59, "59 s"), (59.6, "1 min"), (170, "3 min"), (3599, "1 h 00 min"), (7500, "2 h 05 min")],
)
def test_durations(seconds: float, words: str) -> None:
    assert pace.duration(seconds) == words


def test_sizes_and_rates() -> None:
    assert [pace.size(each) for each in (0, 1, 12_000, 3_460_000, 1.2e9)] == [
        "0 kB",
        "1 kB",
        "12 kB",
        "3.5 MB",
        "1.2 GB",
    ]
    assert [pace.rate(each, "files") for each in (120.4, 3.21, 0.5, 0.01)] == [
        "120 files/s",
        "3.2 files/s",
        "30 files/min",
        "0.6 files/min",
    ]


def test_a_batch_is_told_by_files_and_bytes(clock: Clock) -> None:
    batch = _progress(500)
    clock.now += 2
    assert batch.words() == ["0 of 500 files", "2 s so far"] and batch.share() == 0
    clock.now += 38
    batch.advance(120, read=48_000_000, written=1_500_000)
    expected = ["120 of 500 files", "3.0 files/s", "about 2 min left", "48.0 MB read", "1.5 MB written"]
    assert batch.words() == expected and batch.share() == 0.24


def test_a_large_picture_is_told_by_its_tiles(clock: Clock) -> None:
    picture = _progress()
    assert picture.share() is None
    picture.part(0, 1)
    assert picture.words() == ["0 s so far"] and picture.share() is None
    clock.now += 20  # of which most is the start of an engine
    picture.part(1, 40)
    clock.now += 2
    picture.part(2, 40)
    assert picture.words() == ["tile 3 of 40", "about 1 min left"] and picture.share() == 0.05
    picture.part(0, 40)  # a search for a rate encodes again
    assert picture.share() == 0.05
    picture.part(40, 40)
    assert picture.words() == ["tile 40 of 40"] and picture.share() == 1


def test_the_tiles_of_a_batch_move_its_bar(clock: Clock) -> None:
    batch = _progress(4)
    batch.advance()
    batch.part(3, 12)
    assert batch.share() == pytest.approx(1.25 / 4) and batch.words()[:2] == ["1 of 4 files", "tile 4 of 12"]
    batch.advance()
    assert batch.share() == 0.5 and "tile" not in " ".join(batch.words())


def test_steps_are_lines_where_there_is_no_bar(clock: Clock, lines: list[str]) -> None:
    work = _progress()
    work.follow(Step("reading"))
    work.follow(Step("a.onnx", "graph", 1, 4))
    clock.now += 10
    work.follow("a note")
    work.follow(Step("b.onnx", "graph", 2, 4))
    work.follow(Step("b.onnx", "graph", 2, 4))
    assert lines == ["reading", "graph 1 of 4: a.onnx", "a note", "graph 2 of 4: b.onnx"]
    clock.now += 4
    work.note("Building 50%", "to ~/.cache")
    assert work.words() == ["graph 2 of 4", "Building 50%", "about 26 s left", "b.onnx", "to ~/.cache"]
    assert work.share() == 0.25
    work.follow(Step("golden pictures"))
    assert work.words() == ["golden pictures", "0 s so far"] and work.share() is None


def test_a_bar_takes_the_place_of_lines_of_steps(lines: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "can_draw", lambda: True)
    _progress().follow(Step("reading"))
    assert lines == []
    _progress(verbosity=1).follow(Step("reading"))
    assert lines == ["reading"]


def test_nobody_waits_to_tell_what_nobody_hears() -> None:
    for verbosity, awaited in ((0, True), (-1, False)):
        with Console(verbosity=verbosity).progress("work"):
            assert ("edgecodec-progress" in {each.name for each in threading.enumerate()}) is awaited
        assert "edgecodec-progress" not in {each.name for each in threading.enumerate()}


def test_measured_work_is_not_disturbed(clock: Clock, lines: list[str]) -> None:
    with Console().progress("bench", undisturbed=True) as work:
        assert "edgecodec-progress" not in {each.name for each in threading.enumerate()}
        work.follow(Step("measuring"))
        work.part(3, 20, "round")
        clock.now += progress.INTERVAL
        work.part(4, 20, "round")
        work.part(5, 20, "round")
    assert lines == ["measuring", "bench: measuring, round 5 of 20, about 8 min left"]


# ---- the library tells who asks --------------------------------------------------------------------------------------


@pytest.fixture(params=["stub", "onnxruntime"])
def tiled(request: pytest.FixtureRequest) -> Iterator[Codec]:
    with edgecodec.open_bundle(TINY, request.param, threads=1, tile=64) as codec:
        yield codec


def test_tiles_are_told_in_order(tiled: Codec) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (1024, 64, 3), np.uint8)
    told: dict[str, list[tuple[int, int]]] = {"encode": [], "decode": [], "many": []}

    def hear(name: str) -> Callable[[int, int], object]:
        return lambda done, count: told[name].append((done, count))

    encoded = tiled.encode(picture, progress=hear("encode"))
    decoded = tiled.decode(encoded, progress=hear("decode"))
    many = list(tiled.decode_many([encoded, encoded], progress=hear("many")))
    assert encoded.tiles.count > 1 and decoded.tiles.count > 1
    for name, count in (("encode", encoded.tiles.count), ("decode", decoded.tiles.count)):
        assert told[name][-1] == (count, count) and told[name] == sorted(told[name])
    assert [each for each in told["many"] if each[0] == each[1]] == [(many[0].tiles.count,) * 2] * 2
    list(tiled.decode_many([encoded], jobs=1, progress=lambda done, count: pytest.fail("from another thread")))
    if tiled.graphs.engine_name == "stub":
        assert [done for done, _ in told["decode"]] == list(range(decoded.tiles.count + 1))
    np.testing.assert_array_equal(tiled.decode(encoded).pixels, decoded.pixels)


def test_whoever_listens_may_end_a_picture(tiled: Codec) -> None:
    def stop(done: int, count: int) -> None:
        raise KeyError("enough")

    encoded = tiled.encode(np.zeros((64, 96, 3), np.uint8))
    with pytest.raises(KeyError, match="enough"):
        tiled.decode(encoded, progress=stop)
    assert tiled.decode(encoded).info.width == 96


def test_verify_names_its_checks(lines: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(Progress, "follow", lambda self, line: told.append(line))
    assert run_command("verify", TINY, "--engine", "onnxruntime", "--precision", "fp32").status == 0
    steps: list[Any] = [each for each in told if isinstance(each, Step) and each.total]
    assert [each.number for each in steps] == list(range(1, steps[0].total + 1)) and steps[-1].startswith(
        f"golden check {len(steps)} of {len(steps)}: "
    )
    assert told[0] == "manifest.json"
