"""Bundles that are changed and then agree with themselves again: the index, the manifest, and hashes of files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from support import index_file
from support.index_file import File, Index

INDEX, MANIFEST = "index.bin", "manifest.json"


def read_index(folder: Path) -> Index:
    return index_file.decode((folder / INDEX).read_bytes())


def read_manifest(folder: Path) -> dict[str, Any]:
    manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text())
    return manifest


def edit_index(folder: Path, change: Callable[[Index], object]) -> None:
    """The manifest then has the hash of the new index, and still says what the old one said."""
    index = read_index(folder)
    change(index)
    (folder / INDEX).write_bytes(index_file.encode(index))
    edit_manifest(folder, lambda manifest: manifest["files"].update({INDEX: _entry(folder / INDEX)}))


def edit_manifest(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    manifest = read_manifest(folder)
    change(manifest)
    (folder / MANIFEST).write_text(json.dumps(manifest))


def file_of(index: Index, name: str) -> File:
    (found,) = (file for file in index.files if file.name == name)
    return found


def reseal(folder: Path, *more: str) -> None:
    """Let the manifest have all files as they are now, and the index those that it had and `more`."""

    def of_index(index: Index) -> None:
        index.files += [File(name, 0, b"") for name in more]
        for file in index.files:
            data = (folder / file.name).read_bytes()
            file.size, file.sha256 = len(data), hashlib.sha256(data).digest()

    edit_index(folder, of_index)
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST)
    entries = {path.relative_to(folder).as_posix(): _entry(path) for path in files}
    edit_manifest(folder, lambda manifest: manifest.update(files=entries))


def relist(folder: Path) -> None:
    """Let index and manifest have every file as it is now."""
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    listed = {file.name for file in read_index(folder).files}
    reseal(folder, *sorted(files - listed - {INDEX, MANIFEST}))


def _entry(path: Path) -> dict[str, Any]:
    data = path.read_bytes()
    return {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
