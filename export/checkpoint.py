"""Checkpoints on disk: edgecodec's own layout, and through `importers` those of other origins.

Nothing a file contains is ever run: safetensors and NumPy archives hold nothing but arrays, and PyTorch files are
opened with safe loading only.
"""

from __future__ import annotations

import json
import pickle
import re
import struct
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from edgecodec import files
from edgecodec.errors import CannotRead, CheckpointRejected, EdgecodecError, InvalidArgument
from edgecodec.export.configuration import configuration_text, counts_above, parse_configuration
from edgecodec.export.families import FAMILIES, LearnedCodec
from edgecodec.export.importers import IMPORTERS, Checkpoint
from edgecodec.export.importers.layout import mismatches, shapes_of

FORMAT = "edgecodec-checkpoint-1"

# What the libraries raise for files that are not what they seem; OSError where they are led beyond a file's end.
_DAMAGE = (
    *(SafetensorError, zipfile.BadZipFile, zlib.error, struct.error),
    *(RuntimeError, AssertionError, EOFError, OSError, ValueError, LookupError, TypeError, AttributeError),
)

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
    raise CheckpointRejected(
        f"a file in a layout that is not known{f' of {family}' if family else ''} (its keys: {_some(content)})",
        hint="give a checkpoint that edgecodec saved" + "".join(f", or one of {each.ORIGIN}" for each in candidates),
    )


def load_model(checkpoint: Checkpoint) -> LearnedCodec:
    """The model of a checkpoint, in evaluation mode.

    Strict: CheckpointRejected lists every key that is unused, missing, of another shape than the preset's, or not
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
    model = family(configuration or family.PRESETS[checkpoint.preset])
    problems = mismatches(checkpoint.tensors, shapes_of(model))
    problems += [
        f"{name}: holds values that are not finite"
        for name, tensor in sorted(checkpoint.tensors.items())
        if not torch.isfinite(tensor).all()
    ]
    if problems:
        listed = "\n  ".join(problems)
        raise CheckpointRejected(f"does not fit {checkpoint.family} {checkpoint.preset}:\n  {listed}", where=where)
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
    except SafetensorError as error:
        raise CheckpointRejected(f"damaged safetensors file: {error}") from error
    if metadata.get("format") != FORMAT:
        raise CheckpointRejected(f"safetensors of another origin: format is {metadata.get('format')!r}, not {FORMAT!r}")
    try:
        notes = {str(key): str(value) for key, value in json.loads(metadata["notes"]).items()}
        family, preset = metadata["family"], metadata["preset"]
    except (KeyError, ValueError, AttributeError, RecursionError) as error:
        raise CheckpointRejected(f"its metadata is incomplete: {error!r}") from error
    configuration = None
    if "configuration" in metadata and family in FAMILIES:
        kind = type(next(iter(FAMILIES[family].PRESETS.values())))
        configuration = parse_configuration(kind, metadata["configuration"])
    return Checkpoint(family, preset, notes, {name: tensor.float() for name, tensor in tensors.items()}, configuration)


def _read_foreign(path: Path) -> Mapping[str, Any]:
    """What a NumPy archive or a PyTorch file holds, by safe loading. Raises CheckpointRejected."""
    hint = _TENSORFLOW_HINT if _TENSORFLOW.search(path.name) else None
    try:
        if zipfile.is_zipfile(path) and any(name.endswith(".npy") for name in zipfile.ZipFile(path).namelist()):
            with np.load(path, allow_pickle=False) as archive:
                return {name: torch.from_numpy(archive[name]) for name in archive.files}
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointRejected("neither safetensors nor a file that safe loading opens", hint=hint) from error
    except _DAMAGE as error:
        raise CheckpointRejected("not a checkpoint", hint=hint) from error
    if not isinstance(content, Mapping):
        raise CheckpointRejected(f"holds a {type(content).__name__}, not tensors by name")
    return content


def _some(content: Mapping[str, Any]) -> str:
    keys = list(content)
    return ", ".join(map(str, keys[:4])) + (", ..." if len(keys) > 4 else "") if keys else "none"
