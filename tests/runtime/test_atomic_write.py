"""An output is complete or not there, whatever fails and whenever."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import stat
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from edgecodec import files
from edgecodec.errors import CannotRead, CannotWrite, InvalidArgument, OutputExists
from edgecodec.limits import ANY
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


@pytest.mark.parametrize("name", ["n" * 255, "\u6f22" * 85, "\U0001f5bc" * 63], ids=["ASCII", "Chinese", "emoji"])
def test_the_longest_names_fit(tmp_path: Path, name: str) -> None:
    """Names are limited in bytes."""
    files.write(tmp_path / name, NEW)
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664, 0o444, 0o755])
def test_a_replaced_file_keeps_its_mode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int) -> None:
    """And nobody else can read the new one at any moment."""
    target = tmp_path / "out"
    target.write_bytes(OLD)
    target.chmod(mode)
    before_rename: list[int] = []
    write = os.write

    def watch(descriptor: int, data: bytes) -> int:
        before_rename.append(stat.S_IMODE(os.fstat(descriptor).st_mode))
        return write(descriptor, data)

    monkeypatch.setattr(os, "write", watch)
    files.write(target, NEW, force=True)
    assert set(before_rename) == {mode} and stat.S_IMODE(target.stat().st_mode) == mode


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only the administrator gives files away")
def test_a_replaced_file_keeps_its_owner(tmp_path: Path) -> None:
    target = tmp_path / "out"
    target.write_bytes(OLD)
    os.chown(target, 1234, 5678)
    files.write(target, NEW, force=True)
    assert (target.stat().st_uid, target.stat().st_gid) == (1234, 5678) and target.read_bytes() == NEW


def test_an_owner_that_cannot_be_given_is_no_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "out"
    target.write_bytes(OLD)
    refused = OSError(errno.EPERM, "Operation not permitted")
    for name in ("fchown", "fchmod"):
        monkeypatch.setattr(os, name, _raising(refused))
    files.write(target, NEW, force=True)
    assert target.read_bytes() == NEW


@pytest.mark.parametrize(
    ("step", "number"), [("replace", errno.EBUSY), ("replace", errno.EPERM), ("open", errno.EROFS)]
)
@pytest.mark.parametrize("length", [len(NEW), 3], ids=["longer", "shorter"])
def test_a_file_that_cannot_be_replaced_is_written_in_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, number: int, length: int
) -> None:
    """A mount point, a file of somebody else in /tmp, a folder that is read only."""
    target = tmp_path / "out"
    target.write_bytes(OLD)
    inode = target.stat().st_ino
    original = getattr(os, step)

    def refuse(path: Any, *arguments: Any) -> Any:
        if Path(path) == target:
            return original(path, *arguments)
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patched:
        patched.setattr(os, step, refuse)
        with pytest.raises(OutputExists):
            files.write(target, NEW[:length])
        files.write(target, NEW[:length], force=True)
        with pytest.raises(CannotWrite):
            files.write(tmp_path / "new", NEW)
    assert target.read_bytes() == NEW[:length] and target.stat().st_ino == inode
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.skipif(shutil.which("unshare") is None, reason="cannot mount for itself")
def test_a_mount_point_is_written(tmp_path: Path) -> None:
    """As containers have it, where one file of the host is mounted."""
    for name in ("host", "out"):
        (tmp_path / name).write_bytes(OLD)
    inner = "from edgecodec import files; files.write('out', b'new', force=True)"
    script = f'mount --bind host out && exec "{sys.executable}" -c "{inner}"'
    trial = subprocess.run(["unshare", "-rm", "true"], capture_output=True)
    if trial.returncode:
        pytest.skip("may not mount")
    subprocess.run(["unshare", "-rm", "sh", "-c", script], cwd=tmp_path, env=ENVIRONMENT, check=True)
    assert (tmp_path / "host").read_bytes() == b"new" and (tmp_path / "out").read_bytes() == OLD


_TO_DESCRIPTORS = """
import os, sys
from edgecodec import files
for path in sys.argv[1:]:
    files.write(path, b"data")
"""


@pytest.mark.skipif(not os.path.exists("/dev/fd/0"), reason="no names for open descriptors")
@pytest.mark.parametrize("path", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"])
def test_open_descriptors_are_written_where_they_are(tmp_path: Path, path: str) -> None:
    """A pipe has no file to replace, and a file may already hold what others wrote."""
    command = [sys.executable, "-c", _TO_DESCRIPTORS, path, path]
    assert subprocess.check_output(command, env=ENVIRONMENT) == b"datadata"
    with open(tmp_path / "out", "wb", buffering=0) as out:
        out.write(b"before ")
        subprocess.run(command, env=ENVIRONMENT, stdout=out, check=True)
        out.write(b" after")
    assert (tmp_path / "out").read_bytes() == b"before datadata after"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.skipif(not os.path.exists("/dev/fd/0"), reason="no names for open descriptors")
def test_process_substitution(tmp_path: Path) -> None:
    """What a shell makes of `>(cmd)`."""
    reader, writer = os.pipe()
    link = tmp_path / "link"
    link.symlink_to(f"/dev/fd/{writer}")
    for path in (f"/dev/fd/{writer}", link):
        files.write(path, b"data")
        assert os.read(reader, 100) == b"data"
    os.close(reader)
    with pytest.raises(BrokenPipeError):
        files.write(f"/dev/fd/{writer}", b"data")
    os.close(writer)
    with pytest.raises(CannotWrite):
        files.write(f"/dev/fd/{writer}", b"data")


def test_links_in_a_circle(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    assert files.open_descriptor(tmp_path / "a") is None
    with pytest.raises((CannotWrite, OutputExists)):
        files.write(tmp_path / "a", NEW)


def test_a_name_that_is_none() -> None:
    with pytest.raises(CannotWrite, match="null"):
        files.write("a\0b", NEW)
    with pytest.raises(CannotRead, match="null"):
        files.read("a\0b", ANY)


@pytest.mark.parametrize("source", [None, 7, object()])
def test_sources_that_are_none(source: Any) -> None:
    with pytest.raises(InvalidArgument, match="is no source"):
        files.read(source, ANY)


def test_a_file_opened_as_text(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("text")
    with open(tmp_path / "a") as file, pytest.raises(InvalidArgument, match="open as text"):
        files.read(file, ANY)  # type: ignore[arg-type]
    with pytest.raises(CannotRead, match="closed"):
        files.read(file, ANY)  # type: ignore[arg-type]


def _raising(error: BaseException) -> Any:
    def fail(*arguments: Any) -> Any:
        raise error

    return fail
