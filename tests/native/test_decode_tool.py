"""edgecodec-decode says and gives what `edgecodec decode` does: pictures, messages, exit statuses, whole files."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path
from time import monotonic, sleep

import numpy as np
import pytest

import edgecodec
from support.c_programs import ENVIRONMENT, Installation, onnxruntime_library
from support.command_line import run_command
from support.paths import GOLDEN, TINY

Tool = Callable[..., "subprocess.CompletedProcess[bytes]"]
Started = Callable[..., "subprocess.Popen[bytes]"]


SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.fixture
def started(installation: Installation) -> Started:
    """Starts the tool with these arguments, as a terminal does: a shell in the background has interrupts ignored."""
    environment = {
        **ENVIRONMENT,
        "EDGECODEC_ONNXRUNTIME": str(onnxruntime_library()),
        "ASAN_OPTIONS": "detect_leaks=0",
    }

    def listen() -> None:
        for number in SIGNALS:
            signal.signal(number, signal.SIG_DFL)

    def start(*arguments: object) -> subprocess.Popen[bytes]:
        command = [str(installation.tool), *map(str, arguments)]
        pipe = subprocess.PIPE
        return subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe, stderr=pipe, preexec_fn=listen)

    return start


@pytest.fixture
def tool(started: Started) -> Tool:
    """Runs the tool with these arguments to its end."""

    def run(*arguments: object, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        with started(*arguments) as process:
            output, talk = process.communicate(stdin, timeout=60)
        return subprocess.CompletedProcess(process.args, process.returncode, output, talk)

    return run


@pytest.fixture
def folder(tmp_path: Path, coded: bytes, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with coded pictures, whole and not."""
    (tmp_path / "a.edgc").write_bytes(coded)
    (tmp_path / "short.edgc").write_bytes(coded[:-1])
    (tmp_path / "flipped.edgc").write_bytes(coded[:-1] + bytes([coded[-1] ^ 1]))
    (tmp_path / "other.edgc").write_bytes(b"something else")
    (tmp_path / "there.ppm").write_bytes(b"old")
    monkeypatch.chdir(tmp_path)
    return tmp_path


CHOICES = [
    [],
    ["--alpha", "0.5"],
    ["--knob", "alpha=1"],
    ["--alpha=0", "--tile", "off"],
    ["--tile", "32"],
    ["--precision", "fp32", "-j1"],
    ["--tile", "32"],
    ["-qv"],
]


@pytest.mark.parametrize("options", CHOICES, ids=" ".join)
def test_pictures(tool: Tool, folder: Path, options: list[str]) -> None:
    done = tool("a.edgc", "-b", TINY, "-o", "a.ppm", *options)
    assert done.returncode == 0, done.stderr.decode()
    assert run_command("decode", "a.edgc", "-b", TINY, "--engine", "onnxruntime", "-o", "b.ppm", *options).status == 0
    assert (folder / "a.ppm").read_bytes() == (folder / "b.ppm").read_bytes()


def test_a_file_of_each_model_of_a_bundle(tool: Tool, folder: Path) -> None:
    from support.make_bundles import synthesised, write_several_rates  # which needs onnx

    bundle = write_several_rates(folder / "several.bundle", {0.2: 0.05, 0.6: 0.3})
    picture = synthesised(np.random.default_rng(0).integers(-100, 100, (3, 8, 12)))
    for quality in (0, 1):
        with edgecodec.open_bundle(bundle, "onnxruntime") as codec:
            codec.encode(picture, quality=quality).save("one.edgc")
        assert tool("one.edgc", "-b", bundle, "-o", f"c{quality}.ppm").returncode == 0
        assert run_command("decode", "one.edgc", "-b", bundle, "-o", f"python{quality}.ppm").status == 0
        assert (folder / f"c{quality}.ppm").read_bytes() == (folder / f"python{quality}.ppm").read_bytes()
    assert (folder / "c0.ppm").read_bytes() != (folder / "c1.ppm").read_bytes()
    done = tool("a.edgc", "-b", bundle, "-o", "d.ppm")
    python = run_command("decode", "a.edgc", "-b", bundle, "-o", "d.ppm")
    assert (done.returncode, done.stderr.decode()) == (python.status, python.talk)
    assert all(model.id in python.talk for model in codec.info.models)


@pytest.mark.parametrize("extension", ["ppm", "pgm", "pnm"])
def test_grey_pictures(tool: Tool, folder: Path, extension: str) -> None:
    file = GOLDEN / "tiny-grey-sections.edgc"
    done = tool(file, "-b", TINY, "-o", f"a.{extension}")
    python = run_command("decode", file, "-b", TINY, "--engine", "onnxruntime", "-o", f"b.{extension}")
    assert done.returncode == python.status == 0
    assert (folder / f"a.{extension}").read_bytes() == (folder / f"b.{extension}").read_bytes()


def test_standard_streams(tool: Tool, folder: Path) -> None:
    data = (folder / "a.edgc").read_bytes()
    done = tool("-", "-b", TINY, "-o", "-", stdin=data)
    assert done.returncode == 0
    tool("a.edgc", "-b", TINY, "-o", "a.ppm")
    assert done.stdout == (folder / "a.ppm").read_bytes()


FAILURES = [
    "nothing.edgc -b BUNDLE -o a.ppm",
    "short.edgc -b BUNDLE -o a.ppm",
    "flipped.edgc -b BUNDLE -o a.ppm",
    "other.edgc -b BUNDLE -o a.ppm",
    "a.edgc -b nothing.bundle -o a.ppm",
    "a.edgc -b BUNDLE -o there.ppm",
    "a.edgc -b BUNDLE -o nowhere/a.ppm",
    "a.edgc -b BUNDLE -o a.ppm --alpha 0.3",
    "a.edgc -b BUNDLE -o a.ppm --beta 1",
    "a.edgc -b BUNDLE -o a.ppm --knob alpha",
    "a.edgc -b BUNDLE -o a.ppm --knob alpha=x",
    "a.edgc -b BUNDLE -o a.ppm --knob alpha=1 --knob alpha=0",
    "a.edgc -b BUNDLE -o a.ppm --precision int4",
    "a.edgc -b BUNDLE -o a.ppm --tile large",
    "a.edgc -b BUNDLE -o a.ppm --tile 0",
    "a.edgc -b BUNDLE -o a.ppm --max-memory lots",
    "a.edgc -b BUNDLE -o a.ppm --max-memory 0",
    "a.edgc -b BUNDLE -o a.ppm --max-memory 1000",
    "a.edgc -b BUNDLE -o a.ppm --max-pixels 100",
    "a.edgc -b BUNDLE -o a.ppm --max-pixels-per-byte 1",
]


@pytest.mark.parametrize("line", FAILURES)
def test_failures(tool: Tool, folder: Path, line: str) -> None:
    arguments = line.replace("BUNDLE", str(TINY)).split()
    python = run_command("decode", *arguments, "--engine", "onnxruntime")
    done = tool(*arguments)
    assert (done.returncode, done.stderr.decode()) == (python.status, python.talk)
    assert done.returncode != 0 and not (folder / "a.ppm").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["a.edgc"],
        ["a.edgc", "-b", "x"],
        ["a.edgc", "b.edgc"],
        ["--nonsense"],
        ["a.edgc", "-b"],
        ["--force=1"],
        ["-fx"],
    ],
    ids=" ".join,
)
def test_usage(tool: Tool, arguments: list[str]) -> None:
    done = tool(*arguments)
    assert done.returncode == 2 and done.stderr.startswith(b"edgecodec: error: ") and done.stdout == b""


def test_an_empty_name(tool: Tool, folder: Path) -> None:
    python = run_command("decode", "", "-b", TINY, "-o", "a.ppm")
    done = tool("", "-b", TINY, "-o", "a.ppm")
    assert (done.returncode, done.stderr.decode()) == (python.status, python.talk) and done.returncode == 2


def test_help_and_version(tool: Tool) -> None:
    assert tool("--version").stdout == f"edgecodec-decode {edgecodec.__version__}\n".encode()
    options = {word for word in tool("--help").stdout.decode().split() if word.startswith("--")}
    python = run_command("decode", "--help-all").output.decode()
    assert {option for option in options if option not in python} == {"--version"}


def test_a_replaced_file_keeps_its_permissions(tool: Tool, folder: Path) -> None:
    there = folder / "there.ppm"
    there.chmod(0o640)
    assert tool("a.edgc", "-b", TINY, "-o", "there.ppm", "--force").returncode == 0
    assert there.read_bytes().startswith(b"P6") and stat.S_IMODE(there.stat().st_mode) == 0o640
    assert sorted(path.name for path in folder.iterdir() if "part" in path.name) == []


def test_an_input_is_never_overwritten(tool: Tool, folder: Path) -> None:
    os.link("a.edgc", "same.ppm")
    done = tool("a.edgc", "-b", TINY, "-o", "same.ppm", "--force")
    assert done.returncode == 2 and b"is the input" in done.stderr


def test_control_characters_are_shown(tool: Tool, folder: Path) -> None:
    done = tool("a\x1b[2J.edgc", "-b", TINY, "-o", "a.ppm")
    assert b"a\\x1b[2J.edgc" in done.stderr and b"\x1b" not in done.stderr


def test_nobody_reads(started: Started, folder: Path) -> None:
    with started("a.edgc", "-b", TINY, "-o", "-") as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        assert process.wait(60) == 141 and process.stderr.read() == b""


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
def test_signals(started: Started, folder: Path, number: signal.Signals) -> None:
    """While it waits for standard input."""
    with started("-", "-b", TINY, "-o", "there.ppm", "--force") as process:
        assert process.stdin is not None and process.stderr is not None
        process.stdin.write(b"EDGC")
        process.stdin.flush()
        sleep(0.3)  # until the handlers are there
        begun = monotonic()
        process.send_signal(number)
        assert process.wait(60) == 128 + number
        assert monotonic() - begun < 10
    assert (folder / "there.ppm").read_bytes() == b"old"
