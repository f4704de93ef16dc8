"""Several processes do what one does: the same files, in the same order, and nothing half-written when they end."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import pytest

import edgecodec
from edgecodec import files
from edgecodec.cli import work, workers
from edgecodec.cli.batch import Job
from edgecodec.cli.signals import CLEANUP_SECONDS
from edgecodec.cli.work import Done, Item, Made, _written
from edgecodec.cli.workers import in_processes
from edgecodec.codec import Codec
from edgecodec.errors import EngineFailed, InternalError, NotABundle, OutOfMemory, OutputExists
from edgecodec.steps import Parts
from support.bundle_editing import reseal
from support.command_line import run_command
from support.paths import ENDLESS, ENVIRONMENT, PHOTOS, TINY

#: What is told of a picture that there is nothing to tell of.
NOTHING = Done(None, None, None, None, (), 0)  # type: ignore[arg-type]

STUB = ("-b", TINY, "--engine", "stub", "-j", 1)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of a dozen photographs, of which the fourth is damaged."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(12):
        shutil.copy(PHOTOS[number % 3], folder / f"{number:02}.png")
    (folder / "03.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    return folder


def test_the_same_files_and_results_in_order(photos: Path, tmp_path: Path) -> None:
    outcomes = {
        processes: run_command("encode", photos, *STUB, "-o", tmp_path / str(processes), "--jobs", processes, "--json")
        for processes in (1, 2)
    }
    for outcome in outcomes.values():
        assert outcome.status == 1 and "11 of 12 done, 1 failed" in outcome.talk
        assert [Path(record["input"]).name for record in outcome.records] == [f"{each:02}.png" for each in range(12)]
        assert [record["ok"] for record in outcome.records] == [each != 3 for each in range(12)]
    one, two = ({file.name: file.read_bytes() for file in (tmp_path / name).iterdir()} for name in "12")
    assert one == two and len(one) == 11
    decoded = run_command("decode", tmp_path / "2", *STUB, "-o", tmp_path / "back", "--jobs", 3)
    assert decoded.status == 0 and len(list((tmp_path / "back").iterdir())) == 11


def test_standard_output_is_not_shared(photos: Path) -> None:
    outcome = run_command("decode", "a.edgc", "b.edgc", *STUB, "-o", "-", "--format", "ppm", "--jobs", 2)
    assert outcome.status == 2 and "--jobs" in outcome.talk


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="only Linux lists the children of a process")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_all_of_them(tmp_path: Path, number: signal.Signals) -> None:
    """The one of a terminal goes to every process of the command, the other to the first alone."""
    folder, coded = tmp_path / "in", tmp_path / "coded"
    folder.mkdir()
    for each in range(400):
        (folder / f"{each:03}.png").symlink_to(PHOTOS[each % 3])
    command = [sys.executable, "-m", "edgecodec", "encode", folder, *STUB, "-o", coded, "--jobs", 2]
    options = {"start_new_session": True, "preexec_fn": lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)}
    with subprocess.Popen(list(map(str, command)), env=ENVIRONMENT, stderr=subprocess.PIPE, **options) as process:  # type: ignore[call-overload]
        assert b"->" in process.stderr.readline()
        children = _children(process.pid)
        assert len(children) >= 2
        if number == signal.SIGINT:
            os.killpg(process.pid, number)
        else:
            process.send_signal(number)
        talk = process.stderr.read()
        assert process.wait(timeout=20) == 128 + number and b"Traceback" not in talk
    deadline = time.monotonic() + 5
    while any(Path(f"/proc/{child}").exists() for child in children) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(Path(f"/proc/{child}").exists() for child in children)
    files = list(coded.iterdir())
    assert 0 < len(files) < 400 and all(file.suffix == ".edgc" for file in files)
    for file in files:
        edgecodec.inspect(file)


def test_a_slow_disk_is_waited_for_after_a_signal(tmp_path: Path) -> None:
    """Longer than signals that follow at once are ignored: nothing half-written is left."""
    seconds = CLEANUP_SECONDS + 1
    slow = f"import os, time\nfsync = os.fsync\nos.fsync = lambda file: (time.sleep({seconds}), fsync(file))\n"
    (tmp_path / "sitecustomize.py").write_text(slow)
    environment = ENVIRONMENT | {"PYTHONPATH": os.pathsep.join((str(tmp_path), ENVIRONMENT.get("PYTHONPATH", "")))}
    coded = tmp_path / "coded"
    command = [sys.executable, "-m", "edgecodec", "encode", *PHOTOS, *STUB, "-o", f"{coded}/", "--jobs", "2"]
    with subprocess.Popen(list(map(str, command)), env=environment) as process:
        while not coded.is_dir() or not list(coded.iterdir()):
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 128 + signal.SIGTERM
    assert {file.suffix for file in coded.iterdir()} == {".edgc"}


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="only Linux lists the children of a process")
def test_a_signal_ends_pictures_that_take_for_ever(tmp_path: Path, coded: bytes) -> None:
    bundle = Path(shutil.copytree(TINY, tmp_path / "endless.bundle"))
    shutil.copy(ENDLESS / "loop.onnx", bundle / "synthesis-alpha1.onnx")
    reseal(bundle)
    for name in "ab":
        (tmp_path / f"{name}.edgc").write_bytes(coded)
    command = [sys.executable, "-m", "edgecodec", "decode", tmp_path / "a.edgc", tmp_path / "b.edgc", "-b", bundle]
    command += ["--engine", "onnxruntime", "-j", "1", "--tile", "off", "--jobs", "2"]
    with subprocess.Popen(list(map(str, command)), env=ENVIRONMENT) as process:
        while sum(map(_seconds_worked, _children(process.pid))) < 2:  # by then both are in the graph
            assert process.poll() is None
            time.sleep(0.05)
        told = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 128 + signal.SIGTERM
        assert time.monotonic() - told < CLEANUP_SECONDS
    assert {path.name for path in tmp_path.iterdir()} == {"a.edgc", "b.edgc", "endless.bundle"}


def _children(process: int) -> list[int]:
    return list(map(int, Path(f"/proc/{process}/task/{process}/children").read_text().split()))


def _seconds_worked(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Misbehaving:
    """Work whose items say what happens to the process that takes them."""

    TITLE: ClassVar[str] = "misbehaving"

    bundle: Path = TINY

    def open(self, processes: int) -> Codec:
        return edgecodec.open_bundle(self.bundle, "stub", threads=1)

    def each(
        self, codec: Codec, items: Sequence[Item], progress: Parts | None = None
    ) -> Generator[Made | Exception, None, None]:
        for item in items:
            match item.source:
                case "killed":
                    os.kill(os.getpid(), signal.SIGKILL)
                case "crash":
                    os.kill(os.getpid(), signal.SIGSEGV)
                case "interrupted":
                    os.kill(os.getpid(), signal.SIGINT)
                    yield KeyError("as a terminal interrupts every process")
                case "leaves":
                    os._exit(3)
                case "bug":
                    try:
                        yield 1 // 0  # type: ignore[misc]  # it raises
                    except ZeroDivisionError as error:
                        yield error
                case "slow":
                    time.sleep(0.5)
                    yield KeyError("slow")
                case source:
                    yield KeyError(source)


def _outcomes(*sources: str, bundle: Path = TINY, processes: int = 2) -> list[Done | Exception]:
    items = [Item(Job(source, "-"), source) for source in sources]
    return list(in_processes(Misbehaving(bundle), items, processes))


def test_a_process_that_dies_takes_one_picture_with_it() -> None:
    outcomes = _outcomes("a", "killed", "b", "crash", "c", "leaves", "d")
    assert [type(outcome) for outcome in outcomes[1:6:2]] == [OutOfMemory, EngineFailed, InternalError]
    assert "SIGSEGV" in str(outcomes[3])
    assert all(name in str(outcome).split("'") for name, outcome in zip("abcd", outcomes[::2], strict=True))


@dataclass(frozen=True)
class SlowDisk(Misbehaving):
    """Work on a disk that takes half a second for every file."""

    def open(self, processes: int) -> Codec:
        direct = files.write

        def write(path: str, data: bytes, *, force: bool = False) -> None:
            time.sleep(0.5)
            direct(path, data, force=force)

        files.write = write  # type: ignore[assignment]  # in this process, which does nothing else
        return super().open(processes)

    def each(
        self, codec: Codec, items: Sequence[Item], progress: Parts | None = None
    ) -> Generator[Made | Exception, None, None]:
        for item in items:
            if item.source == "killed":
                os.kill(os.getpid(), signal.SIGKILL)
            yield Made(b"whole", NOTHING)


def test_a_process_that_dies_leaves_the_picture_that_it_had_made(tmp_path: Path) -> None:
    sources = ["a", "killed", "b"]
    items = [Item(Job(source, str(tmp_path / source)), source) for source in sources]
    outcomes = list(in_processes(SlowDisk(), items, 1))
    assert outcomes[::2] == [NOTHING] * 2 and isinstance(outcomes[1], OutOfMemory)
    assert {path.name: path.read_bytes() for path in tmp_path.glob("?")} == {"a": b"whole", "b": b"whole"}


@dataclass(frozen=True)
class Timed(Misbehaving):
    """Work that notes when it begins, in this process."""

    begun: list[float] = field(default_factory=list)

    def each(
        self, codec: Codec, items: Sequence[Item], progress: Parts | None = None
    ) -> Generator[Made | Exception, None, None]:
        for _ in items:
            self.begun.append(time.monotonic())
            yield Made(b"whole", NOTHING)


def test_the_next_picture_is_worked_on_while_one_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    direct, ended = files.write, []

    def write(path: str, data: bytes, *, force: bool) -> None:
        time.sleep(0.05)
        direct(path, data, force=force)
        ended.append(time.monotonic())

    monkeypatch.setattr(files, "write", write)
    monkeypatch.setattr(work, "LONG", 60.0)  # however busy the machine is
    items = [Item(Job(name, str(tmp_path / name)), name) for name in "abc"]
    with edgecodec.open_bundle(TINY, "stub", threads=1) as codec:
        outcomes = _written(timed := Timed(), codec, items)
        assert next(outcomes) is NOTHING  # a is told when it is written
        assert timed.begun[1] < ended[0] <= time.monotonic() and (tmp_path / "a").read_bytes() == b"whole"
        assert list(outcomes) == [NOTHING] * 2
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"whole"] * 3


def test_what_cannot_be_written_is_told_in_its_place(tmp_path: Path) -> None:
    (tmp_path / "b").write_text("in the way")
    items = [Item(Job(name, str(tmp_path / name)), name) for name in "abc"]
    with edgecodec.open_bundle(TINY, "stub", threads=1) as codec:
        for written in (_written(Timed(), codec, items), in_processes(Timed(), items, 2)):
            outcomes = list(written)
            assert outcomes[::2] == [NOTHING] * 2 and isinstance(outcomes[1], OutputExists)
            assert (tmp_path / "b").read_text() == "in the way"
            for name in "ac":
                (tmp_path / name).unlink()


def test_signals_of_the_terminal_are_for_the_first_process() -> None:
    """Which ends the others, each with time to tidy up."""
    (outcome,) = _outcomes("interrupted", processes=1)
    assert "as a terminal" in str(outcome)


def test_a_bug_says_where_it_is() -> None:
    (bug,) = _outcomes("bug", processes=1)
    assert isinstance(bug, InternalError) and "1 // 0" in str(bug.__cause__)


def test_what_opening_raises_ends_the_work(tmp_path: Path) -> None:
    with pytest.raises(NotABundle):
        _outcomes("a", "b", bundle=tmp_path)


def test_nothing_is_begun_far_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of what waits for a slow picture."""
    monkeypatch.setattr(workers, "AHEAD", 2)
    taken: list[int] = []
    take = workers._Worker.take

    def noted(worker: workers._Worker, number: int, item: Item) -> None:
        taken.append(number)
        take(worker, number, item)

    monkeypatch.setattr(workers._Worker, "take", noted)
    items = [Item(Job(source, "-"), source) for source in ["slow", *"abcdefghij"]]
    outcomes = in_processes(Misbehaving(), items, 2)
    assert "slow" in str(next(outcomes))
    assert max(taken) < 4
    assert len(list(outcomes)) == 10
