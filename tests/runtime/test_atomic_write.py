"""An output is complete or not there, whatever fails and whenever."""

from __future__ import annotations

import errno
import os
import resource
import stat
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from edgecodec import files
from edgecodec.errors import CannotWrite, OutputExists
from support.paths import ENVIRONMENT

OLD, NEW = b"old contents", b"new contents" * 1000
STEPS = ["open", "write", "fsync", "replace"]


def _fail_at(monkeypatch: pytest.MonkeyPatch, step: str, failure: BaseException) -> None:
    original = getattr(os, step)

    def fail(*arguments: Any, **keywords: Any) -> Any:
        if step == "write" and len(arguments[1]) == len(NEW):
            return original(arguments[0], bytes(arguments[1])[:100])  # fail half-way, not at the first byte
        raise failure

    monkeypatch.setattr(os, step, fail)


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("existing", [True, False], ids=["existing", "new"])
def test_disk_full_at_every_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, existing: bool) -> None:
    target = tmp_path / "out"
    if existing:
        target.write_bytes(OLD)
    with monkeypatch.context() as patched:
        _fail_at(patched, step, OSError(errno.ENOSPC, "No space left on device"))
        with pytest.raises(CannotWrite) as caught:
            files.write(target, NEW, force=True)
    assert caught.value.where == str(target) and "space" in (caught.value.hint or "")
    assert [path.name for path in tmp_path.iterdir()] == (["out"] if existing else [])
    assert not existing or target.read_bytes() == OLD


@pytest.mark.parametrize("step", STEPS)
def test_interrupted_at_every_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    target = tmp_path / "out"
    target.write_bytes(OLD)
    with monkeypatch.context() as patched:
        _fail_at(patched, step, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            files.write(target, NEW, force=True)
    assert [path.name for path in tmp_path.iterdir()] == ["out"] and target.read_bytes() == OLD


def test_short_writes_are_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    with monkeypatch.context() as patched:
        patched.setattr(os, "write", lambda descriptor, data: write(descriptor, bytes(data)[:7]))
        files.write(tmp_path / "out", NEW)
    assert (tmp_path / "out").read_bytes() == NEW


def test_a_file_system_that_refuses_for_real(tmp_path: Path) -> None:
    """The kernel's own limit on file sizes, in a process of its own."""
    code = """
import resource, signal, sys
from edgecodec import files
from edgecodec.errors import CannotWrite
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
try:
    files.write(sys.argv[1], b"x" * 10000)
except CannotWrite as error:
    print(error)
"""
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[1] == resource.RLIM_INFINITY
    command = [sys.executable, "-c", code, str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, check=True)
    assert "File too large" in done.stdout
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no device that is always full")
def test_a_full_device() -> None:
    with pytest.raises(CannotWrite) as caught:
        files.write("/dev/full", NEW, force=True)
    assert "space" in (caught.value.hint or "")


def test_devices_are_written_and_not_replaced() -> None:
    files.write("/dev/null", NEW)
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


def test_named_pipes_are_written_and_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    received: list[bytes] = []
    reader = threading.Thread(target=lambda: received.append(pipe.read_bytes()))
    reader.start()
    files.write(pipe, NEW)
    reader.join()
    assert received == [NEW] and stat.S_ISFIFO(os.stat(pipe).st_mode)


def test_no_overwriting_unasked(tmp_path: Path) -> None:
    target = tmp_path / "out"
    target.write_bytes(OLD)
    with pytest.raises(OutputExists) as caught:
        files.write(target, NEW)
    assert caught.value.exit_status == 2 and "--force" in (caught.value.hint or "")
    assert target.read_bytes() == OLD
    files.write(target, NEW, force=True)
    assert target.read_bytes() == NEW


def test_a_dangling_link_counts_as_existing(tmp_path: Path) -> None:
    (tmp_path / "out").symlink_to("elsewhere")
    with pytest.raises(OutputExists):
        files.write(tmp_path / "out", NEW)


def test_a_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(OLD)
    (tmp_path / "out").symlink_to("real")
    files.write(tmp_path / "out", NEW, force=True)
    assert (tmp_path / "out").is_symlink() and (tmp_path / "real").read_bytes() == NEW


def test_folders_are_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(CannotWrite):
        files.write(tmp_path / "out", NEW, force=True)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(CannotWrite) as caught:
        files.write(tmp_path / "nowhere" / "out", NEW)
    assert caught.value.where == str(tmp_path / "nowhere" / "out")


def test_permissions_follow_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        files.write(tmp_path / "out", NEW)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o640


def test_long_names_fit(tmp_path: Path) -> None:
    files.write(tmp_path / ("n" * 250), NEW)
    assert [path.name for path in tmp_path.iterdir()] == ["n" * 250]
