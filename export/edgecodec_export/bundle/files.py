"""The files of a bundle with their sizes and hashes: all of them for the manifest, fewer for the index."""

from __future__ import annotations

from pathlib import Path

from edgecodec.description import INDEX, MANIFEST, BundleFile
from edgecodec_export.file_hash import sha256_of
from edgecodec_export.options import FUSED

CARD = "README.md"


def listed_files(folder: Path) -> dict[str, BundleFile]:
    """Every file in `folder` except the manifest, by path with forward slashes."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST)
    return {path.relative_to(folder).as_posix(): BundleFile(path.stat().st_size, sha256_of(path)) for path in files}


def indexed_files(folder: Path) -> dict[str, BundleFile]:
    """Every file in `folder` that a runtime may open, except the index."""
    listed = listed_files(folder).items()
    return {name: file for name, file in listed if name not in (CARD, INDEX) and not name.startswith(f"{FUSED}/")}
