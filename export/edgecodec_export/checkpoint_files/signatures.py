"""Files that people give in place of a checkpoint, told by how they start."""

from __future__ import annotations

import re

from edgecodec.errors import CheckpointRejected

START = 4096  # bytes that are looked at

_AGAIN = "download it again"
_PAGE = "the link leads to a page, perhaps one that asks for a confirmation; open it in a browser and save the file"
_UNPACK = "unpack it, and give the file inside"
_TAKEN = "export takes PyTorch files, safetensors, and .npz archives of TensorFlow 1 variables"

# How the file starts, what it is, and what to do.
_STARTS: tuple[tuple[bytes, str, str], ...] = (
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file, as Keras saves it", _TAKEN),
    (b"\x93NUMPY", "a single NumPy array", "save all arrays by their names with numpy.savez"),
    (b"\x1f\x8b", "a gzip archive", _UNPACK),
    (b"BZh", "a bzip2 archive", _UNPACK),
    (b"\xfd7zXZ\0", "an xz archive", _UNPACK),
    (b"(\xb5/\xfd", "a Zstandard archive", _UNPACK),
    (b"7z\xbc\xaf'\x1c", "a 7z archive", _UNPACK),
    (b"Rar!", "a RAR archive", _UNPACK),
    (b"\xec\xdc", "a picture that edgecodec coded", _TAKEN),
)
# An ONNX model is a protobuf that starts with its version and, in most files, the name of its producer.
_ONNX = re.compile(rb"\x08[\x01-\x1f][\x12\x3a\x42]")
_LFS_SIZE = re.compile(rb"\nsize (\d{1,20})\n")
_TITLE = re.compile(r"<title[^>]*>\s*(.*?)\s*</title>", re.IGNORECASE | re.DOTALL)


def refuse_known(start: bytes, suffix: str) -> None:
    """Raise CheckpointRejected, with what the file is and what to do, if that can be told.

    start: the first START bytes. suffix: that of the file's name, with its dot.
    """
    if not start:
        raise CheckpointRejected("is an empty file", hint=_AGAIN)
    if not start.strip(b"\0"):
        raise CheckpointRejected("starts with zeros, as an unfinished download does", hint=_AGAIN)
    if suffix == ".safetensors" and len(start) < 9:
        raise CheckpointRejected(f"is truncated: only {len(start)} bytes are there", hint=_AGAIN)
    for beginning, what, hint in _STARTS:
        if start.startswith(beginning):
            raise CheckpointRejected(f"is {what}, not a checkpoint", hint=hint)
    if start[257:262] == b"ustar":
        raise CheckpointRejected("is a tar archive, not a checkpoint", hint=_UNPACK)
    if start[4:8] == b"TFL3":
        raise CheckpointRejected("is a TensorFlow Lite model, not a checkpoint", hint=_TAKEN)
    if suffix == ".onnx" or _ONNX.match(start):
        raise CheckpointRejected(
            "is an ONNX model, not a checkpoint", hint="give the PyTorch file that it was exported from"
        )
    text = _text(start)
    if text is not None:
        _refuse_text(text, start)


def _text(start: bytes) -> str | None:
    """The bytes as text, or None if they are none. A character that is cut at the end is ignored."""
    text = start.decode("utf-8-sig", "replace")
    text = text[:-1] if len(start) == START else text
    return text if all(each.isprintable() or each in "\t\r\n\f" for each in text) and "\ufffd" not in text else None


def _refuse_text(text: str, start: bytes) -> None:
    if text.startswith("version https://git-lfs.github.com/"):
        size = _LFS_SIZE.search(start)
        of_size = f" to {int(size[1]):,} bytes" if size else ""
        raise CheckpointRejected(f"is a Git LFS pointer{of_size}, not the file", hint="run git lfs pull to fetch it")
    if "/annex/objects/" in text:
        raise CheckpointRejected("is a git-annex pointer, not the file", hint="run git annex get to fetch it")
    head = text.lstrip()
    if head.startswith("<?xml"):
        raise CheckpointRejected("is an XML document, such as a server's message, not a checkpoint", hint=_AGAIN)
    if head.startswith("<"):
        title = _TITLE.search(text)
        titled = f" titled {' '.join(title[1].split())[:80]!r}" if title else ""
        raise CheckpointRejected(f"is a web page{titled}, not a checkpoint", hint=_PAGE)
    if head.startswith(("{", "[")):
        raise CheckpointRejected("is JSON, not a checkpoint", hint="give the file with the weights")
    beginning = " ".join(text.split())[:40]
    raise CheckpointRejected(f"is a text that begins {beginning!r}, not a checkpoint", hint=_AGAIN)
