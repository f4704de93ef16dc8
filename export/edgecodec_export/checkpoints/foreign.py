"""Safe loading of PyTorch files and NumPy archives that other projects saved: no code in them is run."""

from __future__ import annotations

import pickle
import re
import struct
import warnings
import zipfile
import zlib
from collections.abc import Mapping
from lzma import LZMAError
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError

from edgecodec.errors import CheckpointRejected
from edgecodec_export.checkpoints.pickled_arrays import STAND_INS, as_tensor, with_tensors

#: What the loading libraries raise for damaged files; OSError when a damaged offset points beyond the end of the file.
DAMAGE = (
    *(SafetensorError, zipfile.BadZipFile, zlib.error, struct.error),
    *(RuntimeError, AssertionError, EOFError, OSError, ValueError, LookupError, TypeError, AttributeError),
    *(ArithmeticError, SyntaxError, LZMAError),
)

TENSORFLOW_HINT = (
    "a TensorFlow checkpoint becomes an .npz of its variables with tensorflow.train.load_checkpoint and numpy.savez;"
    " docs/families.md has the lines"
)

# The name of a function or class that safe loading refuses, in PyTorch's message.
_REFUSED = re.compile(r"GLOBAL (\S+) (?:was not|whose module)")
_SAFE_HINT = "save tensors by their names and plain values only, as torch.save(model.state_dict(), PATH) does"

# The names of the files that make up one TensorFlow checkpoint.
_TENSORFLOW = re.compile(r"\.(index|meta|data-\d{5}-of-\d{5})$")


def read_foreign(path: Path) -> Mapping[str, Any]:
    """The content of a NumPy archive or a PyTorch file, with tensors in place of NumPy arrays.

    Raises CheckpointRejected.
    """
    hint = TENSORFLOW_HINT if _TENSORFLOW.search(path.name) else None
    try:
        if zipfile.is_zipfile(path) and any(name.endswith(".npy") for name in zipfile.ZipFile(path).namelist()):
            with np.load(path, allow_pickle=False) as archive:
                return {name: as_tensor(archive[name]) for name in archive.files}
        with torch.serialization.safe_globals(STAND_INS), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # oddities of the file that matter are reported below
            content = with_tensors(torch.load(path, map_location="cpu", weights_only=True))
    except pickle.UnpicklingError as error:
        refused = _REFUSED.search(str(error))
        if refused is None:
            raise CheckpointRejected("neither safetensors nor a file that safe loading opens", hint=hint) from error
        message = f"safe loading refuses it: it holds {refused[1]}, which is neither a tensor nor a plain value"
        raise CheckpointRejected(message, hint=_SAFE_HINT) from error
    except DAMAGE as error:
        raise CheckpointRejected("not a checkpoint", hint=hint) from error
    if not isinstance(content, Mapping):
        raise CheckpointRejected(f"holds a {type(content).__name__}, not tensors by name", hint=_SAFE_HINT)
    return content
