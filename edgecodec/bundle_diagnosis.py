"""What it is that was given in the place of a bundle. Looked at only when it has turned out to be none."""

from __future__ import annotations

import os
from pathlib import Path

from edgecodec.description import INDEX, MANIFEST
from edgecodec.errors import NotABundle
from edgecodec.regular_file import open_regular

_START = 64  # bytes that tell one kind of file from another

_PICTURES = (b"\x89PNG", b"\xff\xd8\xff", b"RIFF", b"II*\0", b"MM\0*", b"GIF8", b"BM", b"\xff\x0a", b"P5", b"P6")
_ARCHIVES = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"7z\xbc\xaf", b"\x28\xb5\x2f\xfd")
CODED = b"\xec\xdc"  # what coded pictures begin with
_PICKLE = b"\x80"  # opcode PROTO
_EXPORT = "edgecodec export makes a bundle of it"
_SWAPPED = "-b names the bundle, and pictures come without"
_UNPACK = "unpack it, and give the folder"


def is_bundle(folder: str | os.PathLike[str]) -> bool:
    """Whether a folder has the index of a bundle, whatever is in it."""
    return os.path.isfile(os.path.join(folder, INDEX))


def no_bundle(path: str | os.PathLike[str]) -> NotABundle:
    """The error for a path that has no index: says what is there instead."""
    found = Path(path)
    try:
        message, hint = _of_folder(found) if found.is_dir() else _of_file(found)
    except (OSError, ValueError):  # it cannot be read, or its name has a null character
        message, hint = f"has no {INDEX}", None
    return NotABundle(message, where=os.fspath(path), hint=hint or "a bundle is a folder that export wrote")


def _of_folder(folder: Path) -> tuple[str, str | None]:
    inner = sorted(each.name for each in folder.iterdir())
    bundles = [name for name in inner if is_bundle(folder / name)]
    if bundles:
        return f"is a folder of {'a bundle' if len(bundles) == 1 else 'bundles'}", f"give {folder / bundles[0]}"
    if not inner:
        return "is an empty folder", None
    if any(name.endswith((".onnx", ".plan", ".engine")) for name in inner):
        return f"is a folder of graphs without {INDEX}, which edgecodec did not export", None
    if any(name.endswith(".edgc") for name in inner):
        return "is a folder of coded pictures", _SWAPPED
    if any(name.lower().endswith((".png", ".jpg", ".jpeg")) for name in inner):
        return "is a folder of pictures", _SWAPPED
    return f"is a folder without {INDEX}", None


def _of_file(file: Path) -> tuple[str, str | None]:
    if not os.path.lexists(file):
        return "is not there", "check the path"
    if is_bundle(file.parent):
        what = "a graph" if file.suffix == ".onnx" else "a file"
        return f"is {what} of a bundle, not the bundle", f"give its folder, {file.parent}"
    with open_regular(file) as stream:
        start = stream.read(_START)
    if start.startswith(b"PK"):
        return _of_archive(file)
    if start.startswith(CODED):
        return "is a coded picture, not a bundle", _SWAPPED
    if start.startswith(_PICTURES) or start[4:8] == b"ftyp":
        return "is a picture, not a bundle", _SWAPPED
    if start.startswith(_ARCHIVES) or file.suffix == ".tar":
        return "is an archive, not a folder", _UNPACK
    if start.startswith(_PICKLE) or start[8:9] == b"{":
        return "is a checkpoint, not a bundle", _EXPORT
    if file.suffix == ".onnx":
        return "is a graph, not a bundle", "give the folder that export wrote"
    if file.name == MANIFEST:
        return f"is a manifest without {INDEX} beside it", "give the folder that export wrote"
    return "is a file, not a folder", None


def _of_archive(file: Path) -> tuple[str, str | None]:
    """PyTorch and NumPy save zip archives, and so do people who pack a bundle."""
    import zipfile  # only here, because every command imports this module

    try:
        with zipfile.ZipFile(file) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, NotImplementedError):
        return "is a damaged zip archive, not a folder", "fetch it again"
    if any(name.endswith(("data.pkl", ".npy")) for name in names):
        return "is a checkpoint, not a bundle", _EXPORT
    return "is a zip archive, not a folder", _UNPACK
