"""A bundle's files are regular ones, read once and as far as the index says: none can hang or fill the machine."""

from __future__ import annotations

import ctypes
import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import edgecodec
from edgecodec import bundle_files
from edgecodec.description import BundleFile
from edgecodec.errors import BundleChanged, CannotRead, EdgecodecError, LimitExceeded
from edgecodec.verify import verify
from support.bundle_editing import INDEX, MANIFEST, edit_index, file_of, read_index, read_manifest
from support.paths import ENVIRONMENT, TINY

if not hasattr(os, "mkfifo"):
    pytest.skip("this system has no named pipes", allow_module_level=True)

FILES = [file.name for file in read_index(TINY).files]
#: Those that the manifest alone lists: golden pictures, and the card.
OTHERS = sorted({*read_manifest(TINY)["files"]} - {*FILES, INDEX})

#: What a name may lead to that is no file to be read to an end.
ODD: dict[str, Callable[[Path], Any]] = {
    "pipe": os.mkfifo,
    "endless device": lambda path: path.symlink_to("/dev/zero"),
    "empty device": lambda path: path.symlink_to("/dev/null"),
    "terminal": lambda path: path.symlink_to("/dev/tty"),
    "folder": Path.mkdir,
    "link to itself": lambda path: path.symlink_to(path.name),
}


def replace_with(bundle: Path, name: str, odd: str) -> None:
    (bundle / name).unlink()
    ODD[odd](bundle / name)


def promise(bundle: Path, name: str, size: int) -> None:
    """Let the index say that a file has `size` bytes."""
    edit_index(bundle, lambda index: setattr(file_of(index, name), "size", size))


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("size", [None, 0, 4096])
@pytest.mark.parametrize("name", FILES)
def test_what_is_no_regular_file_is_refused_on_opening(
    bundle_copy: Path, name: str, odd: str, size: int | None
) -> None:
    """Whatever size the index gives it: that of a device is 0, that of a folder often 4096."""
    replace_with(bundle_copy, name, odd)
    if size is not None:
        promise(bundle_copy, name, size)
    for use in (edgecodec.inspect, lambda path: edgecodec.open_bundle(path, "stub"), lambda path: next(verify(path))):
        with pytest.raises(BundleChanged, match=r"regular file|missing") as caught:
            use(bundle_copy)
        assert caught.value.where == str(bundle_copy / name)


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("name", OTHERS)
def test_what_verify_alone_reads_is_a_regular_file_or_fails(bundle_copy: Path, name: str, odd: str) -> None:
    replace_with(bundle_copy, name, odd)
    (failed,) = [check for check in verify(bundle_copy, "stub") if check.subject == name]
    assert not failed.passed and ("regular file" in failed.detail or "cannot be read" in failed.detail)


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("size", [0, 7])
def test_files_are_read_as_far_as_was_promised(tmp_path: Path, odd: str, size: int) -> None:
    path, promised = tmp_path / "file", BundleFile(size, hashlib.sha256(bytes(size)).hexdigest())
    path.write_bytes(bytes(size))
    bundle_files.check(path, promised)
    assert bundle_files.read(path, promised) == bytes(size)
    for change in (lambda: path.write_bytes(bytes(size + 1)), lambda: replace_with(tmp_path, "file", odd)):
        change()
        for use in (bundle_files.check, bundle_files.read):
            with pytest.raises(BundleChanged):
                use(path, promised)


@pytest.mark.parametrize(("name", "kind"), [(INDEX, EdgecodecError), (MANIFEST, CannotRead)])
@pytest.mark.parametrize("odd", ODD)
def test_a_description_that_is_no_regular_file_is_refused(
    bundle_copy: Path, odd: str, name: str, kind: type[EdgecodecError]
) -> None:
    replace_with(bundle_copy, name, odd)
    with pytest.raises(kind) as caught:
        edgecodec.inspect(bundle_copy)
    assert caught.value.where == str(bundle_copy / name)


def test_a_file_too_large_to_be_read_whole_is_refused(bundle_copy: Path) -> None:
    """It takes no room on the disk, and would take all of the memory."""
    size = 1 << 40
    os.truncate(bundle_copy / "entropy.bin", size)
    promise(bundle_copy, "entropy.bin", size)
    with pytest.raises(LimitExceeded, match=str(size)):
        edgecodec.open_bundle(bundle_copy, "stub")


class Openings:
    """Counts how often each file in a folder is opened, as the system sees it (inotify)."""

    OPEN, NON_BLOCKING = 0x20, 0o4000

    def __init__(self, folder: Path) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self._descriptor = libc.inotify_init1(self.NON_BLOCKING)
        assert libc.inotify_add_watch(self._descriptor, os.fsencode(folder), self.OPEN) >= 0

    def names(self) -> list[str]:
        events, names = os.read(self._descriptor, 1 << 16), []
        os.close(self._descriptor)
        while events:
            length = int.from_bytes(events[12:16], sys.byteorder)
            names.append(events[16 : 16 + length].rstrip(b"\0").decode())
            events = events[16 + length :]
        return sorted(filter(None, names))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")
def test_a_file_is_read_once(bundle_copy: Path, coded: bytes) -> None:
    """What is hashed is what is used, so that nothing can be put in its place in between."""
    openings = Openings(bundle_copy)
    edgecodec.open_bundle(bundle_copy, "onnxruntime", threads=1).decode(coded)
    assert openings.names() == ["entropy.bin", INDEX, "synthesis-alpha1.onnx"]


@pytest.mark.parametrize("command", ["inspect", "verify", "decode"])
@pytest.mark.parametrize(("name", "odd"), [("entropy.bin", "endless device"), (INDEX, "pipe")])
def test_commands_end_at_once_and_in_little_memory(
    bundle_copy: Path, tmp_path: Path, command: str, name: str, odd: str
) -> None:
    replace_with(bundle_copy, name, odd)
    if name != INDEX:
        promise(bundle_copy, name, 0)
    arguments: list[str | Path] = [bundle_copy]
    if command == "decode":
        arguments = [TINY / "golden" / "photo.edgc", "-b", bundle_copy, "-o", tmp_path / "a.png"]
    ran = subprocess.run(
        ["sh", "-c", 'ulimit -v 2097152 && exec "$@"', "sh", sys.executable, "-m", "edgecodec", command, *arguments],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode in (4, 7) and "regular file" in ran.stderr


def test_links_to_regular_files_are_followed(bundle_copy: Path, tmp_path: Path, coded: bytes) -> None:
    for name in (*FILES, INDEX, MANIFEST):
        blob = tmp_path / hashlib.sha256(name.encode()).hexdigest()
        (bundle_copy / name).rename(blob)
        (bundle_copy / name).symlink_to(blob)
    assert edgecodec.open_bundle(bundle_copy, "stub").decode_latents(coded)
