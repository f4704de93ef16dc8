"""Zip archives, which PyTorch files and NumPy archives are: what one holds, and how large it would unpack."""

from __future__ import annotations

import io
import math
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Literal

import numpy as np

from edgecodec.errors import CheckpointRejected
from edgecodec_export.checkpoint_files.limits import require_proportion
from edgecodec_export.checkpoint_files.pickles import require_bounded_pickles

_WEIGHTS = (".pth", ".pt", ".ckpt", ".tar", ".bin", ".safetensors", ".npz")
_DAMAGE = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, ValueError, LookupError, NotImplementedError)
_NPY_START = 2**16  # bytes; NumPy refuses headers of more than 10,000 characters


def archive_kind(path: Path) -> Literal["npz", "pytorch"]:
    """Which of the two it is, with sizes that fit the file.

    Raises CheckpointRejected for a truncated archive, one of something else, and one that would unpack to far more than
    it holds.
    """
    if not zipfile.is_zipfile(path):
        raise CheckpointRejected(
            "is truncated: the directory at the end of a PyTorch file or a zip archive is missing",
            hint="download it again",
        )
    try:
        with zipfile.ZipFile(path) as archive:
            return _kind(archive, path.stat().st_size)
    except _DAMAGE as error:
        raise CheckpointRejected(f"is a damaged zip archive: {error}", hint="download it again") from error


def _kind(archive: zipfile.ZipFile, size: int) -> Literal["npz", "pytorch"]:
    entries = archive.infolist()
    names = [entry.filename for entry in entries]
    arrays = [entry for entry in entries if entry.filename.endswith(".npy")]
    pickles = [entry for entry in entries if entry.filename.rpartition("/")[2] == "data.pkl"]
    if not arrays and not pickles:
        raise _something_else(names)
    if any(name.rpartition("/")[2] == "constants.pkl" for name in names):
        raise CheckpointRejected(
            "is a TorchScript program, not a checkpoint", hint="save its weights: torch.save(model.state_dict(), PATH)"
        )
    require_proportion(sum(entry.file_size for entry in entries), size, "what it unpacks to")
    for entry in arrays:
        _require_claimed_size(archive, entry)
    for entry in pickles:
        require_bounded_pickles(io.BytesIO(archive.read(entry)))
    return "npz" if arrays else "pytorch"


def _require_claimed_size(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> None:
    """Raise CheckpointRejected if the header of an array does not claim the bytes that follow it.

    NumPy takes the memory that a header claims before it reads. Pickled objects claim nothing; NumPy refuses them.
    """
    with archive.open(entry) as stream:
        start = io.BytesIO(stream.read(_NPY_START))
    version = np.lib.format.read_magic(start)
    if version == (3, 0):  # has names of fields in UTF-8
        raise CheckpointRejected(f"{entry.filename}: an array with fields", hint="save numbers only")
    headers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    shape, _, dtype = headers[version](start)
    claimed, held = math.prod(shape) * dtype.itemsize, entry.file_size - start.tell()
    if claimed != held and not dtype.hasobject:
        raise CheckpointRejected(f"{entry.filename}: its header claims {claimed:,} bytes, and {held:,} follow")


def _something_else(names: list[str]) -> CheckpointRejected:
    if any(name.endswith(".weights.h5") for name in names):
        return CheckpointRejected("is a Keras model, not a checkpoint", hint="export takes PyTorch files")
    shown = [name if name.isprintable() else ascii(name) for name in names]
    inside = [name for name in shown if name.endswith(_WEIGHTS)]
    listed = ", ".join(shown[:4]) + (", ..." if len(shown) > 4 else "")
    return CheckpointRejected(
        f"is a zip archive of something else ({listed or 'nothing'})",
        hint=f"unpack it, and give {' or '.join(inside[:4])}" if inside else "give the file with the weights",
    )
