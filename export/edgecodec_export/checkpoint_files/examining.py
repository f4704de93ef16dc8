"""The kind of a file, from its path and its bytes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from edgecodec.description import MANIFEST
from edgecodec.errors import CannotRead, CheckpointRejected, EdgecodecError
from edgecodec_export.checkpoint_files.archives import archive_kind
from edgecodec_export.checkpoint_files.pickles import require_bounded_pickles
from edgecodec_export.checkpoint_files.safetensors_size import is_safetensors, require_whole
from edgecodec_export.checkpoint_files.signatures import START, refuse_known

Kind = Literal["safetensors", "npz", "pytorch"]

TENSORFLOW_HINT = (
    "a TensorFlow checkpoint becomes an .npz of its variables with tensorflow.train.load_checkpoint and numpy.savez;"
    " docs/families.md has the lines"
)

# The names of the files that make up one TensorFlow checkpoint.
_TENSORFLOW = re.compile(r"\.(index|meta|data-\d{5}-of-\d{5})$")

_PICKLE = b"\x80"  # opcode PROTO, with which every pickle of protocol 2 and later starts
_ARCHIVE = (b"PK\x03\x04", b"PK\x05\x06")  # a first entry, or the end of an empty archive


def examine(path: Path) -> Kind:
    """What can open the file: safetensors, NumPy or PyTorch.

    Raises CannotRead if it is missing, a folder, or cannot be opened. Raises CheckpointRejected if it is something
    else, truncated, or claims or unpacks to far more than it holds.
    """
    try:
        return _kind(path)
    except EdgecodecError as error:
        error.locate(str(path))
        raise
    except OSError as error:
        raise CannotRead(error.strerror or str(error), where=str(path)) from error


def _kind(path: Path) -> Kind:
    if path.is_dir():
        raise CannotRead("is a folder, not a file", hint=_hint_for_folder(path))
    if not path.is_file():
        if path.exists():
            raise CannotRead("is not a regular file")
        of_tensorflow = path.with_name(f"{path.name}.index").exists()
        raise CannotRead("no such file", hint=TENSORFLOW_HINT if of_tensorflow else "check the path")
    with path.open("rb") as stream:
        start = stream.read(START)
    if is_safetensors(start):
        require_whole(path)
        return "safetensors"
    if start.startswith(_ARCHIVE):
        return archive_kind(path)
    if start.startswith(_PICKLE):
        with path.open("rb") as stream:
            require_bounded_pickles(stream)
        return "pytorch"
    refuse_known(start, path.suffix)
    if _TENSORFLOW.search(path.name):
        raise CheckpointRejected("is a part of a TensorFlow checkpoint", hint=TENSORFLOW_HINT)
    raise CheckpointRejected(
        "is not a checkpoint: its first bytes are not those of a PyTorch file, safetensors or a NumPy archive"
    )


def _hint_for_folder(folder: Path) -> str:
    names = {each.name for each in folder.iterdir()}
    if MANIFEST in names:
        return "this is a bundle, which export writes; give the checkpoint that it was made from"
    if "saved_model.pb" in names or any(map(_TENSORFLOW.search, names)):
        return TENSORFLOW_HINT
    if "data.pkl" in names:
        return "this is an unpacked PyTorch file; give the file itself"
    suffixes = (".safetensors", ".pth", ".pt", ".ckpt", ".tar", ".bin", ".npz")
    files = sorted(name for name in names if name.endswith(suffixes) and name.isprintable())
    return f"give one of its files: {', '.join(files[:4])}" if files else "give the file with the weights"
