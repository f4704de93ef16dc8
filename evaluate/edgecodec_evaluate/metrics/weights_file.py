"""Reading files of weights, which runs nothing that they contain: PyTorch files and safetensors."""

from __future__ import annotations

import pickle
import re
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load

from edgecodec.errors import CannotRead, CheckpointRejected

# The name of a function or class that safe loading refuses, in PyTorch's message.
_REFUSED = re.compile(r"GLOBAL (\S+) (?:was not|whose module)")
_SAVE_AGAIN = "save tensors by their names alone, as torch.save(model.state_dict(), FILE) does"
# Pickle's names for what safe loading may call to make bytes of any number: bytearray with a size, and codecs, some of
# which double what they are given.
_BYTES = re.compile(rb"bytearray\n|\x8c\x09bytearray|_codecs\nencode\n|\x8c\x07_codecs")
_HOLDS_BYTES = "holds bytes, which are no tensor"


def read_weights(path: Path) -> Mapping[str, Any]:
    """The entries of a file by their names.

    Raises CannotRead for a file that is missing, no regular file, or cannot be opened; CheckpointRejected for anything
    but tensors and plain values by name.
    """
    where = str(path)
    try:
        _require_file(path)
        content = _load(path)
    except (CannotRead, CheckpointRejected) as error:
        error.locate(where)
        raise
    except OSError as error:
        raise CannotRead(error.strerror or str(error), where=where) from error
    if not isinstance(content, Mapping) or not all(isinstance(name, str) for name in content):
        raise CheckpointRejected(
            f"holds a {type(content).__name__}, not tensors by name", where=where, hint=_SAVE_AGAIN
        )
    return content


def _require_file(path: Path) -> None:
    if path.is_dir():
        raise CannotRead("is a folder, not a file", hint="give the file with the weights")
    if not path.exists():
        raise CannotRead("no such file", hint="check the path")
    if not path.is_file():
        raise CannotRead("is not a regular file")


def _load(path: Path) -> Any:
    with path.open("rb") as stream:
        start = stream.read(9)
    if not start:
        raise CheckpointRejected("is an empty file", hint="download it again, or save it again")
    safetensors = start[8:] == b"{"  # after the length of the header
    if not safetensors and not start.startswith((b"PK", b"\x80")):
        raise CheckpointRejected("is neither a PyTorch file nor safetensors", hint=_SAVE_AGAIN)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about oddities that do not matter if the tensors fit
            if safetensors:
                return load(path.read_bytes())  # load_file maps the file, and weights would change with it
            _require_bounded(path)
            return torch.load(path, map_location="cpu", weights_only=True)
    except (CheckpointRejected, PermissionError):
        raise
    except pickle.UnpicklingError as error:
        raise _not_loaded(error) from error
    except Exception as error:  # there is no end to what damaged bytes make these libraries raise
        if "Invalid magic number" in str(error):
            raise CheckpointRejected("is a pickle that torch.save did not write", hint=_SAVE_AGAIN) from error
        raise _damaged() from error


def _require_bounded(path: Path) -> None:
    """Raise CheckpointRejected for a PyTorch file in which a few bytes can ask for any amount of memory."""
    if not zipfile.is_zipfile(path):
        if _BYTES.search(path.read_bytes()):
            raise CheckpointRejected(_HOLDS_BYTES, hint=_SAVE_AGAIN)
        return
    with zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            if entry.compress_type != zipfile.ZIP_STORED:
                raise CheckpointRejected("is a compressed archive, which no PyTorch file is", hint=_SAVE_AGAIN)
            if entry.filename.endswith("data.pkl") and _BYTES.search(archive.read(entry)):
                raise CheckpointRejected(_HOLDS_BYTES, hint=_SAVE_AGAIN)


def _not_loaded(error: pickle.UnpicklingError) -> CheckpointRejected:
    refused = _REFUSED.search(str(error))
    if refused is None:
        return _damaged()
    return CheckpointRejected(
        f"safe loading refuses it: it holds {refused[1]}, which is neither a tensor nor a plain value", hint=_SAVE_AGAIN
    )


def _damaged() -> CheckpointRejected:
    return CheckpointRejected("is damaged or truncated", hint="download it again, or save it again")
