"""Safe loading of files that other projects saved, which runs no code: PyTorch files, safetensors, NumPy archives."""

from __future__ import annotations

import pickle
import re
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable, Mapping
from lzma import LZMAError
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from edgecodec.errors import CheckpointRejected
from edgecodec_export.checkpoint_files import Kind, examine, require_proportion
from edgecodec_export.checkpoints.nesting import nested_mappings
from edgecodec_export.checkpoints.pickled_arrays import STAND_INS, as_tensor, with_tensors

#: What the loading libraries raise for damaged files; OSError when a damaged offset points beyond the end of the file.
DAMAGE = (
    *(SafetensorError, zipfile.BadZipFile, zlib.error, struct.error),
    *(RuntimeError, AssertionError, EOFError, OSError, ValueError, LookupError, TypeError, AttributeError),
    *(ArithmeticError, SyntaxError, LZMAError),
)

# The name of a function or class that safe loading refuses, in PyTorch's message.
_REFUSED = re.compile(r"GLOBAL (\S+) (?:was not|whose module)")
_SAFE_HINT = "save tensors by their names and plain values only, as torch.save(model.state_dict(), PATH) does"

# What PyTorch and pickle say of a file in the form before zip archives that ends too early.
_ENDS_EARLY = re.compile(r"unexpected EOF|Ran out of input|pickle data was truncated")
_MISSING = re.compile(r"expected (\d+) more bytes")


def read_foreign(path: Path) -> Mapping[str, Any]:
    """The content of the file, with tensors in place of NumPy arrays.

    Raises CannotRead and CheckpointRejected, as `examine` does too.
    """
    kind = examine(path)
    try:
        content = _READERS[kind](path)
    except pickle.UnpicklingError as error:
        raise _not_loaded(error) from error
    except DAMAGE as error:
        raise _damaged(error, kind) from error
    if not isinstance(content, Mapping):
        raise CheckpointRejected(f"holds a {type(content).__name__}, not tensors by name", hint=_SAFE_HINT)
    _require_real_tensors(content, path.stat().st_size)
    return content


def _read_pytorch(path: Path) -> Any:
    with torch.serialization.safe_globals(STAND_INS), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # oddities of the file that matter are reported by those who read its content
        return with_tensors(torch.load(path, map_location="cpu", weights_only=True))


def _read_npz(path: Path) -> dict[str, Tensor]:
    with np.load(path, allow_pickle=False) as archive:
        return {name: as_tensor(archive[name]) for name in archive.files}


_READERS: Mapping[Kind, Callable[[Path], Any]] = {
    "safetensors": load_file,
    "npz": _read_npz,
    "pytorch": _read_pytorch,
}


def _not_loaded(error: pickle.UnpicklingError) -> CheckpointRejected:
    refused = _REFUSED.search(str(error))
    if refused is not None:
        return CheckpointRejected(
            f"safe loading refuses it: it holds {refused[1]}, which is neither a tensor nor a plain value",
            hint=_SAFE_HINT,
        )
    if isinstance(error.__context__, EOFError) or _ENDS_EARLY.search(str(error)):
        return _truncated(str(error))
    return CheckpointRejected("neither safetensors nor a file that safe loading opens", hint=_SAFE_HINT)


def _damaged(error: Exception, kind: Kind) -> CheckpointRejected:
    if isinstance(error, EOFError) or _ENDS_EARLY.search(str(error)):
        return _truncated(str(error))
    if "Invalid magic number" in str(error):
        return CheckpointRejected("is a pickle that torch.save did not write", hint=_SAFE_HINT)
    what = {"safetensors": "safetensors file", "npz": "NumPy archive", "pytorch": "PyTorch file"}[kind]
    return CheckpointRejected(f"damaged {what}", hint="download it again, or save it again")


def _truncated(reported: str) -> CheckpointRejected:
    missing = _MISSING.search(reported)
    known = f": at least {int(missing[1]):,} bytes are missing" if missing else ""
    return CheckpointRejected(f"is truncated{known}", hint="download it again")


def _require_real_tensors(content: Mapping[Any, Any], size: int) -> None:
    """Raise CheckpointRejected for tensors that repeat a few stored values more often than the file has bytes.

    PyTorch stores a view, such as one number that is expanded to a matrix, as the number and a shape; every copy has
    all values.
    """
    for _, mapping in nested_mappings(content):
        tensors = [each for each in mapping.values() if isinstance(each, Tensor) and each.device.type == "cpu"]
        dense = [each for each in tensors if each.layout == torch.strided and not each.is_nested]
        require_proportion(sum(each.numel() * each.element_size() for each in dense), size, "its tensors")
