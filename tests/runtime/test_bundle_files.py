"""A bundle's files are regular ones, read once and as far as the manifest says: none can hang or fill the machine."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import edgecodec
from edgecodec.bundle import Bundle
from edgecodec.errors import BundleChanged, CannotRead, LimitExceeded
from edgecodec.verify import verify
from support.paths import ENVIRONMENT, TINY

if not hasattr(os, "mkfifo"):
    pytest.skip("this system has no named pipes", allow_module_level=True)

FILES = sorted(json.loads((TINY / "manifest.json").read_text())["files"])
MANIFEST = "manifest.json"

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
    """Let the manifest say that a file has `size` bytes."""
    manifest = json.loads((bundle / MANIFEST).read_text())
    manifest["files"][name]["size"] = size
    (bundle / MANIFEST).write_text(json.dumps(manifest))


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("size", [None, 0, 4096])
@pytest.mark.parametrize("name", FILES)
def test_what_is_no_regular_file_is_refused_on_opening(
    bundle_copy: Path, name: str, odd: str, size: int | None
) -> None:
    """Whatever size the manifest gives it: that of a device is 0, that of a folder often 4096."""
    replace_with(bundle_copy, name, odd)
    if size is not None:
        promise(bundle_copy, name, size)
    for use in (edgecodec.inspect, lambda path: edgecodec.open_bundle(path, "stub"), lambda path: next(verify(path))):
        with pytest.raises(BundleChanged, match=r"regular file|missing") as caught:
            use(bundle_copy)
        assert caught.value.where == str(bundle_copy / name)


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("name", FILES)
def test_what_becomes_no_regular_file_after_opening_is_refused(bundle_copy: Path, name: str, odd: str) -> None:
    promise(bundle_copy, name, 0)
    (bundle_copy / name).write_bytes(b"")
    bundle = Bundle(bundle_copy)
    replace_with(bundle_copy, name, odd)
    problem = {
        "link to itself": "cannot be read",
        "folder": "is not a regular file|cannot be read",  # systems differ in what can be opened
        "terminal": "is not a regular file|cannot be read",
    }.get(odd, "is not a regular file")
    for use in (bundle.check, bundle.read, bundle.graph):
        with pytest.raises(BundleChanged, match=problem):
            use(name)


@pytest.mark.parametrize("odd", ODD)
def test_a_manifest_that_is_no_regular_file_is_refused(bundle_copy: Path, odd: str) -> None:
    replace_with(bundle_copy, MANIFEST, odd)
    with pytest.raises(CannotRead) as caught:
        edgecodec.inspect(bundle_copy)
    assert caught.value.where == str(bundle_copy / MANIFEST)


@pytest.mark.parametrize("change", [-1, 1])
@pytest.mark.parametrize("name", FILES)
def test_a_file_that_changes_its_size_after_opening_is_refused(bundle_copy: Path, name: str, change: int) -> None:
    bundle = Bundle(bundle_copy)
    os.truncate(bundle_copy / name, (bundle_copy / name).stat().st_size + change)
    for use in (bundle.check, bundle.read, bundle.graph):
        with pytest.raises(BundleChanged, match="the manifest says"):
            use(name)


def test_a_file_too_large_to_be_read_whole_is_refused(bundle_copy: Path) -> None:
    """It takes no room on the disk, and would take all of the memory."""
    size = 1 << 40
    os.truncate(bundle_copy / "entropy.bin", size)
    promise(bundle_copy, "entropy.bin", size)
    with pytest.raises(LimitExceeded, match=str(size)):
        edgecodec.open_bundle(bundle_copy, "stub")


def test_a_file_is_read_once(bundle_copy: Path, coded: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is hashed is what is used, so that nothing can be put in its place in between."""
    opened: list[str] = []
    plain = os.open

    def count(path: Any, *arguments: Any, **more: Any) -> int:
        if Path(path).parent == bundle_copy:
            opened.append(Path(path).name)
        return plain(path, *arguments, **more)

    monkeypatch.setattr(os, "open", count)
    edgecodec.open_bundle(bundle_copy, "onnxruntime", threads=1).decode(coded)
    assert sorted(opened) == ["entropy.bin", MANIFEST, "synthesis-alpha1.onnx"]


@pytest.mark.parametrize("command", ["inspect", "verify", "decode"])
@pytest.mark.parametrize(("name", "odd"), [("entropy.bin", "endless device"), (MANIFEST, "pipe")])
def test_commands_end_at_once_and_in_little_memory(
    bundle_copy: Path, tmp_path: Path, command: str, name: str, odd: str
) -> None:
    replace_with(bundle_copy, name, odd)
    if name != MANIFEST:
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
    for name in (*FILES, MANIFEST):
        blob = tmp_path / hashlib.sha256(name.encode()).hexdigest()
        (bundle_copy / name).rename(blob)
        (bundle_copy / name).symlink_to(blob)
    assert edgecodec.open_bundle(bundle_copy, "stub").decode_latents(coded)
