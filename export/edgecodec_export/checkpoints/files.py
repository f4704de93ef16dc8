"""Checkpoints on disk: edgecodec's own layout, and through `importers` those of other origins.

Nothing a file contains is ever run: safetensors and NumPy archives hold nothing but arrays, and PyTorch files are
opened with safe loading only.
"""

from __future__ import annotations

import json
import pickle
import re
import struct
import warnings
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import replace
from lzma import LZMAError
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from edgecodec import files
from edgecodec.errors import CannotRead, CheckpointRejected, EdgecodecError, InvalidArgument
from edgecodec_export.checkpoints.configuration import configuration_text, counts_above, parse_configuration
from edgecodec_export.checkpoints.importers import IMPORTERS, Checkpoint, closest
from edgecodec_export.checkpoints.importers.layout import mismatches, state_shapes, unusable
from edgecodec_export.checkpoints.pickled_arrays import STAND_INS, as_tensor, with_tensors
from edgecodec_export.families import FAMILIES, LearnedCodec
from edgecodec_export.messages import first_few

FORMAT = "edgecodec-checkpoint-1"

# What the libraries raise for files that are not what they seem; OSError where they are led beyond a file's end.
_DAMAGE = (
    *(SafetensorError, zipfile.BadZipFile, zlib.error, struct.error),
    *(RuntimeError, AssertionError, EOFError, OSError, ValueError, LookupError, TypeError, AttributeError),
    *(ArithmeticError, SyntaxError, LZMAError),
)

# How PyTorch names what safe loading does not call.
_REFUSED = re.compile(r"GLOBAL (\S+) (?:was not|whose module)")
_SAFE_HINT = "save tensors by their names and plain values only, as torch.save(model.state_dict(), PATH) does"

# Files of which TensorFlow makes one checkpoint.
_TENSORFLOW = re.compile(r"\.(index|meta|data-\d{5}-of-\d{5})$")
_TENSORFLOW_HINT = (
    "a TensorFlow checkpoint becomes an .npz of its variables with tensorflow.train.load_checkpoint and numpy.savez;"
    " docs/families.md has the lines"
)

__all__ = ["FORMAT", "Checkpoint", "load_model", "read_checkpoint", "save_checkpoint"]


def save_checkpoint(
    path: Path,
    model: LearnedCodec,
    family: str,
    preset: str,
    notes: dict[str, str],
    dtype: torch.dtype = torch.float32,
    *,
    force: bool = True,
) -> None:
    """Write every tensor of `model` in `dtype`, with the family and configuration that rebuild it.

    preset: what people call that configuration; it need not be one of the family's named ones. force: replace a file
    that is already there. Raises OutputExists otherwise, and CannotWrite; `path` is complete or as it was.
    """
    tensors = {name: tensor.detach().to(dtype).contiguous() for name, tensor in model.state_dict().items()}
    metadata = {
        "format": FORMAT,
        "family": family,
        "preset": preset,
        "configuration": configuration_text(model.preset),
        "notes": json.dumps(notes, sort_keys=True),
    }
    files.write(path, save(tensors, metadata), force=force)


def read_checkpoint(path: Path, family: str | None = None) -> Checkpoint:
    """Open a checkpoint without running anything it contains. Tensors come as float32.

    family: what the file must be, where recognition is not to decide alone.

    Raises CannotRead where there is no such file or it cannot be opened, InvalidArgument for a family that is not
    known, and CheckpointRejected for a file in a layout that is not known or not of the family.
    """
    if family is not None and family not in FAMILIES:
        raise InvalidArgument(f"unknown family {family!r}", hint=f"known: {', '.join(FAMILIES)}")
    try:
        return replace(_read(path, family), where=str(path))
    except EdgecodecError as error:
        error.locate(str(path))
        raise
    except OSError as error:
        raise CannotRead(error.strerror or str(error), where=str(path)) from error


def _read(path: Path, family: str | None) -> Checkpoint:
    if not path.is_file():
        of_tensorflow = path.with_name(f"{path.name}.index").exists()
        raise CannotRead("no such checkpoint", hint=_TENSORFLOW_HINT if of_tensorflow else None)
    if _is_safetensors(path):
        checkpoint = _read_own(path)
        if family not in (None, checkpoint.family):
            raise CheckpointRejected(f"is of family {checkpoint.family}, not {family}")
        return checkpoint
    content = _read_foreign(path)
    candidates = [importer for importer in IMPORTERS if family in (None, importer.FAMILY)]
    for importer in candidates:
        if importer.recognises(content):
            return importer.read(content)
    if family is not None and candidates:
        return closest(candidates, content).read(content)
    raise CheckpointRejected(
        f"a file in a layout that is not known{f' of {family}' if family else ''} (its keys: {_some(content)})",
        hint="give a checkpoint that edgecodec saved"
        + "".join(f", or one of {each.ORIGIN}" for each in candidates)
        + ("; with --family NAME, what does not fit is listed" if candidates else ""),
    )


def load_model(checkpoint: Checkpoint) -> LearnedCodec:
    """The model of a checkpoint, in evaluation mode.

    Strict: CheckpointRejected lists what is unused, missing, no weights, of another shape than the preset's, or not
    finite.
    """
    where = checkpoint.where
    family = FAMILIES.get(checkpoint.family)
    if family is None:
        known = ", ".join(FAMILIES)
        raise CheckpointRejected(f"unknown family {checkpoint.family!r}", where=where, hint=f"known: {known}")
    configuration = checkpoint.configuration
    beyond = [] if configuration is None else counts_above(configuration, _largest_count(checkpoint.tensors))
    if beyond:
        listed = "\n  ".join(beyond)
        raise CheckpointRejected(f"its configuration has counts that nothing in it reaches:\n  {listed}", where=where)
    if configuration is None and checkpoint.preset not in family.PRESETS:
        raise CheckpointRejected(
            f"unknown preset {checkpoint.preset!r} of {checkpoint.family}",
            where=where,
            hint=f"known: {', '.join(family.PRESETS)}",
        )
    try:
        problems = mismatches(
            checkpoint.tensors, state_shapes(family, configuration or family.PRESETS[checkpoint.preset])
        )
    except CheckpointRejected as error:
        error.locate(where)
        raise
    infinite = [
        f"{name}: holds values that are not finite"
        for name, tensor in sorted(checkpoint.tensors.items())
        if not unusable(tensor) and not torch.isfinite(tensor).all()
    ]
    problems += first_few(infinite, "that are not finite")
    if problems:
        listed = "\n  ".join(problems)
        raise CheckpointRejected(f"does not fit {checkpoint.family} {checkpoint.preset}:\n  {listed}", where=where)
    model = family(configuration or family.PRESETS[checkpoint.preset])
    model.load_state_dict(checkpoint.tensors)
    return model.eval()


def _largest_count(tensors: Mapping[str, Tensor]) -> int:
    """What no count in a configuration exceeds: channels are a side of some tensor, and a layer has one of its own.

    Where one does, not even the layout should be made, which takes as long as the count is large.
    """
    sides = (side for tensor in tensors.values() if tensor.numel() for side in tensor.shape)
    return max((len(tensors), *sides))


def _is_safetensors(path: Path) -> bool:
    """Whether the file starts as safetensors do: the length of a JSON header, then its opening brace."""
    with path.open("rb") as stream:
        start = stream.read(9)
    return len(start) == 9 and start[8:] == b"{" and struct.unpack("<Q", start[:8])[0] <= path.stat().st_size - 8


def _read_own(path: Path) -> Checkpoint:
    try:
        with safe_open(path, framework="pt") as stored:
            metadata = stored.metadata() or {}
            tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
    except _DAMAGE as error:
        raise CheckpointRejected(f"damaged safetensors file: {error}") from error
    if metadata.get("format") != FORMAT:
        raise CheckpointRejected(f"safetensors of another origin: format is {metadata.get('format')!r}, not {FORMAT!r}")
    try:
        notes = {str(key): str(value) for key, value in json.loads(metadata["notes"]).items()}
        "".join([*notes, *notes.values()]).encode()  # JSON can spell what is no text
        family, preset = metadata["family"], metadata["preset"]
    except (KeyError, ValueError, AttributeError, RecursionError) as error:
        raise CheckpointRejected(f"its metadata is incomplete: {error!r}") from error
    configuration = None
    if "configuration" in metadata and family in FAMILIES:
        kind = type(next(iter(FAMILIES[family].PRESETS.values())))
        configuration = parse_configuration(kind, metadata["configuration"])
    problems = [f"{name}: {problem}" for name, tensor in sorted(tensors.items()) if (problem := unusable(tensor))]
    if problems:
        raise CheckpointRejected("holds no weights:\n  " + "\n  ".join(first_few(problems, "of them")))
    return Checkpoint(family, preset, notes, {name: tensor.float() for name, tensor in tensors.items()}, configuration)


def _read_foreign(path: Path) -> Mapping[str, Any]:
    """What a NumPy archive or a PyTorch file holds, by safe loading, with tensors for arrays.

    Raises CheckpointRejected.
    """
    hint = _TENSORFLOW_HINT if _TENSORFLOW.search(path.name) else None
    try:
        if zipfile.is_zipfile(path) and any(name.endswith(".npy") for name in zipfile.ZipFile(path).namelist()):
            with np.load(path, allow_pickle=False) as archive:
                return {name: as_tensor(archive[name]) for name in archive.files}
        with torch.serialization.safe_globals(STAND_INS), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about what makes a file odd: what is odd about it is said below
            content = with_tensors(torch.load(path, map_location="cpu", weights_only=True))
    except pickle.UnpicklingError as error:
        refused = _REFUSED.search(str(error))
        if refused is None:
            raise CheckpointRejected("neither safetensors nor a file that safe loading opens", hint=hint) from error
        message = f"safe loading refuses it: it holds {refused[1]}, which is neither a tensor nor a plain value"
        raise CheckpointRejected(message, hint=_SAFE_HINT) from error
    except _DAMAGE as error:
        raise CheckpointRejected("not a checkpoint", hint=hint) from error
    if not isinstance(content, Mapping):
        raise CheckpointRejected(f"holds a {type(content).__name__}, not tensors by name", hint=_SAFE_HINT)
    return content


def _some(content: Mapping[str, Any]) -> str:
    keys = [str(key) if str(key).isprintable() else ascii(key) for key in content]
    return ", ".join(keys[:4]) + (", ..." if len(keys) > 4 else "") if keys else "none"
