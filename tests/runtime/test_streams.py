"""Standard streams that are closed, full or strange: typed errors, and a file is never mistaken for one."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from edgecodec.cli.console import Console
from edgecodec.codec import Codec
from edgecodec.errors import CannotRead
from support.command_line import run_command
from support.paths import ENVIRONMENT, PHOTOS, TINY

STUB = f"-b '{TINY}' --engine stub"


@pytest.fixture
def file(tmp_path: Path, coded: bytes) -> Path:
    (tmp_path / "a.edgc").write_bytes(coded)
    shutil.copy(PHOTOS[0], tmp_path / "a.png")
    return tmp_path / "a.edgc"


def _shell(folder: Path, command: str) -> subprocess.CompletedProcess[str]:
    """A shell runs `edgecodec` with these arguments and redirections."""
    script = f"exec '{sys.executable}' -m edgecodec {command}"
    return subprocess.run(["sh", "-c", script], cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize(
    ("command", "status", "talk"),
    [
        (f"encode - {STUB} <&-", 7, "standard input: is closed"),
        (f"encode a.png {STUB} -o - >&-", 7, "standard output: is closed"),
        (f"encode a.png {STUB} -o b.edgc --json >&-", 7, "standard output: is closed"),
        (f"encode a.png {STUB} -o b.edgc >&- <&-", 0, "a.png -> b.edgc"),
        (f"encode a.png {STUB} -o b.edgc 2>&-", 0, ""),
        (f"encode a.png {STUB} -o b.edgc 2>&- >&- <&-", 0, ""),
        (f"encode none.png {STUB} 2>&-", 7, ""),
        ("inspect a.edgc >&-", 7, "standard output: is closed"),
        ("--help >&-", 0, ""),
        ("--version >&-", 0, ""),
        ("encode 2>&-", 2, ""),
    ],
)
def test_closed_streams(file: Path, mosaic: Codec, command: str, status: int, talk: str) -> None:
    done = _shell(file.parent, command)
    assert done.returncode == status, done.stderr
    assert talk in done.stderr and bool(talk) == bool(done.stderr) and "Traceback" not in done.stderr
    assert done.stdout == ""
    if "b.edgc" in command:
        # What is said must not end up in a file that has the number of a stream.
        assert (file.parent / "b.edgc").read_bytes() == mosaic.encode(PHOTOS[0]).data


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
@pytest.mark.parametrize(
    ("command", "status"),
    [
        ("inspect a.edgc >/dev/full", 7),
        ("--help >/dev/full", 7),
        (f"encode a.png {STUB} -o - >/dev/full", 7),
        (f"encode a.png {STUB} -o b.edgc --json >/dev/full", 7),
        (f"encode a.png {STUB} -o b.edgc 2>/dev/full", 0),
    ],
)
def test_full_streams(file: Path, command: str, status: int) -> None:
    done = _shell(file.parent, command)
    assert done.returncode == status
    assert "Traceback" not in done.stderr and "Exception" not in done.stderr
    assert status == 0 or "No space left" in done.stderr


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_batch_ends_where_its_results_cannot_be_told(file: Path, jobs: int) -> None:
    """And calls no picture failed whose output is there."""
    for name in ("b.png", "c.png", "d.png"):
        (file.parent / name).write_bytes((file.parent / "a.png").read_bytes())
    done = _shell(file.parent, f"encode a.png b.png c.png d.png {STUB} -o out/ --json --jobs {jobs} >&-")
    assert done.returncode == 7 and done.stderr.count("error:") == 1
    assert "standard output: is closed" in done.stderr and "failed" not in done.stderr


@pytest.mark.parametrize("output", ["/dev/stdout", "/dev/fd/1"])
def test_standard_output_by_its_other_names(file: Path, output: str) -> None:
    piped = subprocess.run(
        ["sh", "-c", f"'{sys.executable}' -m edgecodec encode a.png {STUB} -q -o {output} | cat > piped"],
        cwd=file.parent,
        env=ENVIRONMENT,
    )
    assert piped.returncode == 0
    assert _shell(file.parent, f"encode a.png {STUB} -q -o direct").returncode == 0
    assert (file.parent / "piped").read_bytes() == (file.parent / "direct").read_bytes()
    done = _shell(file.parent, f"encode a.png {STUB} --json -o {output}")
    assert done.returncode == 2 and "both data and --json" in done.stderr


def test_process_substitution(file: Path) -> None:
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("no shell that has it")
    script = f"'{sys.executable}' -m edgecodec encode a.png {STUB} -q -o >(cat > piped; echo done)"
    done = subprocess.run([bash, "-c", script], cwd=file.parent, env=ENVIRONMENT, capture_output=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"done\n", b"")
    assert (file.parent / "piped").stat().st_size > 0


# ---- strange characters and numbers ---------------------------------------------------------------------------------

EVIL = "a\x1b[31m\r\x07\x7f\x9b2J\u202eb\nc"
SHOWN = r"a\x1b[31m\r\x07\x7f\x9b2J\u202eb\nc"


def test_control_characters_of_names_are_shown_and_not_obeyed(file: Path) -> None:
    name = file.with_name(f"{EVIL}.edgc")
    file.rename(name)
    stub = ("-b", TINY, "--engine", "stub")
    for outcome in (
        run_command("decode", name, *stub),
        run_command("inspect", name),
        run_command("decode", name, *stub),  # the picture exists by now
    ):
        for text in (outcome.talk, outcome.output.decode()):
            assert all(line.isprintable() for line in text.splitlines())
        assert SHOWN in outcome.talk + outcome.output.decode()
    (record,) = run_command("inspect", name, "--json").records
    assert record["input"] == str(name)


def test_ordinary_names_are_shown_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    name = "Größe 漢字 😀.png"
    Console().say(name)
    Console().show([name])
    assert capsys.readouterr() == (f"{name}\n", f"{name}\n")


def test_strange_numbers_are_still_json(capsys: pytest.CaptureFixture[str]) -> None:
    def refuse(name: str) -> None:
        pytest.fail(f"{name} is not JSON")

    facts: dict[str, Any] = {
        "infinite": float("inf"),
        "deep": {"list": [float("nan"), 1.5, {"x": -float("inf")}], "tuple": (float("nan"), 2)},
        "path": Path("p"),
        "large": 1e308,
    }
    Console(json=True).record(facts)
    assert json.loads(capsys.readouterr().out, parse_constant=refuse) == {
        "infinite": None,
        "deep": {"list": [None, 1.5, {"x": None}], "tuple": [None, 2]},
        "path": "p",
        "large": 1e308,
    }


def test_inspect_of_a_manifest_with_numbers_beyond_floats(bundle_copy: Path) -> None:
    manifest = bundle_copy / "manifest.json"
    text = manifest.read_text()
    assert '"float_bits": 7067' in text
    manifest.write_text(text.replace('"float_bits": 7067', '"float_bits": 1e999'))
    for line in run_command("inspect", bundle_copy, "--json").output.splitlines():
        json.loads(line, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))


def test_a_closed_standard_input_is_an_error_of_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    from edgecodec import files
    from edgecodec.limits import ANY

    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(CannotRead, match="closed"):
        files.read_standard_input(ANY)
