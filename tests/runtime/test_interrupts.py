"""An interrupt ends a command within about a second, whatever the engine does, and leaves nothing behind."""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest

import edgecodec
from edgecodec.cli import signals
from edgecodec.errors import Cancelled
from edgecodec.interruptible import interruptible
from edgecodec.job import Job
from edgecodec_engines.onnxruntime import TELEMETRY, import_runtime
from support.bundle_editing import reseal
from support.engines import needs_openvino
from support.paths import ENDLESS, ENVIRONMENT, TINY

SIGNALS = [signal.SIGINT, signal.SIGTERM]
STARTED = "an engine call"
GRAPH = 3  # the number of the graph that is replaced, among those of the tiny bundle

#: The command line, which says when it calls an engine: ONNX Runtime by the native library or by Python, or another.
ANNOUNCING = f"""
import sys
from edgecodec import cli, native_engine
from edgecodec_engines import onnxruntime, openvino

if sys.argv.pop(1) == "python":
    onnxruntime._package_library = lambda: None
direct = onnxruntime.interruptible

def announced(*arguments):
    print({STARTED!r}, flush=True)
    return direct(*arguments)

native_engine.interruptible = onnxruntime.interruptible = openvino.interruptible = announced
cli.main()
"""


@pytest.fixture
def bundle(tmp_path: Path) -> Callable[[str], Path]:
    """A copy of the tiny bundle whose decoder is the endless graph of this name."""

    def make(name: str) -> Path:
        root = Path(shutil.copytree(TINY, tmp_path / f"{name}.bundle"))
        graph = (ENDLESS / f"{name}.onnx").read_bytes()
        (root / "synthesis-alpha1.onnx").write_bytes(graph)
        reseal(root)
        return root

    return make


@contextmanager
def _command(code: str, *arguments: object) -> Iterator[subprocess.Popen[bytes]]:
    """Started as a terminal starts it: a shell in the background has interrupts ignored."""

    def listen() -> None:
        for number in SIGNALS:
            signal.signal(number, signal.SIG_DFL)

    command = [sys.executable, "-c", code, *map(str, arguments)]
    with subprocess.Popen(
        command, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=listen
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def _seconds_worked(process: subprocess.Popen[bytes]) -> float:
    """Of the processor, by all its threads."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has /proc")
@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("face", ["native", "python", pytest.param("openvino", marks=needs_openvino)])
@pytest.mark.parametrize("graph", ["loop", "node", "constant"], ids=["a loop", "one node", "while it loads"])
def test_an_endless_graph_is_ended(
    bundle: Callable[[str], Path], tmp_path: Path, coded: bytes, graph: str, face: str, number: signal.Signals
) -> None:
    # The native library loads and runs in one call; of Python's, three imports come first, then load and run. OpenVINO
    # reads and compiles before it runs, and computes what is constant, the loop among it, when it reads.
    python = {"loop": 5, "node": 5, "constant": 4}
    calls = {"native": 1, "python": python[graph], "openvino": {"loop": 1, "node": 3, "constant": 2}[graph]}[face]
    if (face, graph) == ("python", "constant") and tuple(map(int, version("onnxruntime").split(".")[:2])) < (1, 24):
        pytest.skip("this ONNX Runtime keeps Python's lock while it loads, so no signal is seen before it has")
    (tmp_path / "a.edgc").write_bytes(coded)
    engine = "openvino" if face == "openvino" else "onnxruntime"
    arguments = [face, "decode", tmp_path / "a.edgc", "-b", bundle(graph), "--engine", engine, "-j", 1]
    with _command(ANNOUNCING, *arguments, "-o", tmp_path / "out.png", "--tile", "off") as process:
        assert process.stdout is not None and process.stderr is not None
        for _ in range(calls):
            while line := process.stdout.readline():
                if line.decode().strip() == STARTED:
                    break
        begun = _seconds_worked(process)
        while process.poll() is None and _seconds_worked(process) < begun + 0.3:  # by then it is in the graph
            time.sleep(0.01)
        told = time.monotonic()
        process.send_signal(number)
        status = process.wait(timeout=30)
        assert time.monotonic() - told < 3  # about one, on a machine that has other work
        assert status == 128 + number and process.stderr.read() == b""
    assert {path.name for path in tmp_path.iterdir()} == {"a.edgc", f"{graph}.bundle"}


@contextmanager
def _interrupted() -> Iterator[None]:
    """The block ends with an interrupt of Python's own kind, which comes soon."""
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        with pytest.raises(KeyboardInterrupt):
            yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize(
    ("graph", "engine"), [("loop", "onnxruntime"), pytest.param("chain", "openvino", marks=needs_openvino)]
)
def test_an_interrupted_codec_can_be_used_again(
    bundle: Callable[[str], Path], coded: bytes, graph: str, engine: str
) -> None:
    """The interrupt is raised while the graph runs, and not a moment later."""
    codec = edgecodec.open_bundle(bundle(graph), engine, threads=1)
    expected = codec.decode(coded, alpha=0.5).pixels
    codec.graphs.load(GRAPH)
    with _interrupted():
        codec.decode(coded)
    assert [each.name for each in threading.enumerate() if each.name == "edgecodec-engine"] == []
    np.testing.assert_array_equal(codec.decode(coded, alpha=0.5).pixels, expected)


def test_an_interrupt_ends_no_picture_of_another_thread(bundle: Callable[[str], Path], coded: bytes) -> None:
    codec = edgecodec.open_bundle(bundle("loop"), "onnxruntime", threads=1)
    job = Job.decode(codec._owned, coded, {})
    with ThreadPoolExecutor(1) as others:
        other = others.submit(codec.graphs.run, job)
        try:
            with _interrupted():
                codec.decode(coded)
            assert not wait([other], 0.3).done
        finally:
            job.cancel()
        assert isinstance(other.exception(10), Cancelled)


def test_a_load_can_be_cancelled() -> None:
    codec = edgecodec.open_bundle(TINY, "onnxruntime", threads=1)
    job = Job.load(codec._owned, 0, False)
    job.cancel()
    with pytest.raises(Cancelled):
        job.run()
    assert codec.graphs.load(0).name == "onnxruntime"


def test_a_signal_while_an_engine_starts_is_no_engine_error(tmp_path: Path, coded: bytes) -> None:
    """Compiled modules turn what a signal handler raises during their import into an ImportError."""
    (tmp_path / "a.edgc").write_bytes(coded)
    code = """
import signal, sys
from edgecodec import cli
from edgecodec_engines import onnxruntime

def import_runtime():
    try:
        signal.raise_signal(signal.SIGTERM)
    except SystemExit as error:
        raise onnxruntime.EngineUnavailable("initialization failed") from error

onnxruntime._package_library = lambda: None
onnxruntime.import_runtime = import_runtime
cli.main()
"""
    arguments = ["decode", tmp_path / "a.edgc", "-b", TINY, "--engine", "onnxruntime"]
    with _command(code, *arguments) as process:
        assert process.communicate(timeout=60) == (b"", b"") and process.returncode == 143
    assert [path.name for path in tmp_path.iterdir()] == ["a.edgc"]


def test_a_swallowed_signal_does_not_let_the_next_job_begin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signals, "_came", [])
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        with pytest.raises(SystemExit) as ended, signals.unwinding_on("SIGTERM"):
            with pytest.raises(SystemExit):
                signal.raise_signal(signal.SIGTERM)
            signals.end_if_told()
            pytest.fail("it went on")
        assert ended.value.code == 143
    finally:
        signal.signal(signal.SIGTERM, before)


def test_work_that_is_asked_to_end_leaves_the_second_signal_to_who_had_it_before() -> None:
    asked: list[int] = []
    taken: list[int] = []
    before = {number: signal.signal(number, lambda number, frame: taken.append(number)) for number in SIGNALS}
    try:
        with signals.asking_first(asked.append, "SIGINT", "SIGTERM"):
            signal.raise_signal(signal.SIGTERM)
            assert (asked, taken) == ([signal.SIGTERM], [])
            signal.raise_signal(signal.SIGTERM)
            signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        assert (asked, taken) == ([signal.SIGTERM], [signal.SIGTERM, signal.SIGINT, signal.SIGINT])
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def test_work_is_not_asked_by_a_signal_that_is_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with signals.asking_first(lambda number: pytest.fail("it was asked"), "SIGHUP"):
            signal.raise_signal(signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


#: What runs in a process of its own, which ends with it.
CHILDREN = {"child_process.py", "builder_process.py"}


@pytest.mark.parametrize(
    "package", ["edgecodec", "edgecodec_engines", "edgecodec_export", "edgecodec_train", "edgecodec_evaluate"]
)
def test_only_the_command_line_exits(package: str) -> None:
    """A program that trains or decodes with the library decides itself when it ends."""
    folder = Path(str(importlib.import_module(package).__file__)).parent
    files = [
        file
        for file in Path(folder).rglob("*.py")
        if Path(folder, "cli") not in file.parents and file.name not in CHILDREN
    ]
    assert files
    exits = re.compile(r"\b(sys\.exit|os\._exit|os\.abort|raise SystemExit)\b")
    assert [str(file) for file in files if exits.search(file.read_text(encoding="utf-8"))] == []


def test_the_first_of_several_signals_is_the_status(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the command leaves a thread behind."""
    statuses: list[int] = []
    monkeypatch.setattr(os, "_exit", statuses.append)
    monkeypatch.setattr(signals, "abandon", lambda stream: None)
    monkeypatch.setattr(signals, "unbroken", threading.Lock())  # which is kept, as the process has ended
    monkeypatch.setattr(signals, "_came", [(signal.SIGTERM, 0.0), (signal.SIGINT, 1.0)])
    over = threading.Event()
    worker = threading.Thread(target=over.wait)
    worker.start()
    try:
        with signals.leaving_threads_behind():
            pass
    finally:
        over.set()
        worker.join()
    with pytest.raises(SystemExit) as caught:
        signals.end_if_told()
    assert [*statuses, caught.value.code] == [128 + signal.SIGTERM] * 2


def test_the_library_is_interrupted_too_and_waits_for_what_can_be_cancelled() -> None:
    cancelled, ended = threading.Event(), threading.Event()

    def call() -> None:
        os.kill(os.getpid(), signal.SIGINT)  # to the main thread, which waits
        cancelled.wait(30)
        ended.set()

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            interruptible(call, cancelled.set)
    finally:
        signal.signal(signal.SIGINT, before)
    assert cancelled.is_set() and ended.is_set()


def test_other_threads_call_directly() -> None:
    seen: list[threading.Thread] = []

    def note() -> None:
        seen.append(threading.current_thread())

    thread = threading.Thread(target=lambda: interruptible(note, lambda: None))
    thread.start()
    thread.join()
    assert seen == [thread]


def test_what_a_call_raises_comes_through() -> None:
    with pytest.raises(ZeroDivisionError):
        interruptible(lambda: 1 // 0, lambda: pytest.fail("cancelled"))


def test_the_engine_reports_to_nobody(tmp_path: Path, coded: bytes) -> None:
    """ONNX Runtime 1.29 and newer would write an identifier of the device under HOME, and look for a host to tell."""
    home = tmp_path / "home"
    home.mkdir()
    (tmp_path / "a.edgc").write_bytes(coded)
    # Where it takes itself to be tested it is silent anyway.
    silent = ("ORT_", "XDG_", "CI", "GITHUB_", "GITLAB_", "JENKINS_", "TF_BUILD", "TRAVIS")
    environment = {name: value for name, value in ENVIRONMENT.items() if not name.startswith(silent)}
    command = [sys.executable, "-m", "edgecodec", "decode", "a.edgc", "-b", str(TINY), "--engine", "onnxruntime", "-q"]
    subprocess.run(command, cwd=tmp_path, env={**environment, "HOME": str(home)}, check=True, timeout=60)
    assert (tmp_path / "a.png").exists() and os.listdir(home) == []


@pytest.mark.parametrize("choice", ["0", "1", ""])
def test_the_users_choice_about_telemetry_stands(monkeypatch: pytest.MonkeyPatch, choice: str) -> None:
    monkeypatch.setenv(TELEMETRY, choice)
    import_runtime()
    assert os.environ[TELEMETRY] == choice
    monkeypatch.delenv(TELEMETRY)
    import_runtime()
    assert os.environ[TELEMETRY] == "1"


def test_what_a_failed_call_held_goes_with_its_error() -> None:
    class Memory:
        pass

    def fail(memory: Memory) -> None:
        raise ValueError(memory)

    def held() -> weakref.ref[Memory]:
        memory = Memory()
        with contextlib.suppress(ValueError):
            interruptible(lambda: fail(memory), lambda: None)
        return weakref.ref(memory)

    gc.disable()  # only the last reference may free it
    try:
        assert held()() is None
    finally:
        gc.enable()
