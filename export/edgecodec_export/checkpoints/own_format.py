"""The project's own checkpoints: safetensors whose metadata names the family and holds its configuration.

Metadata: "format", "family", "preset", "configuration" (JSON of the family's `Preset`; absent in the oldest files),
"notes" (JSON, as `stored_notes` describes it) and, in those of a decoder alone, "rest" (the hash of the other tensors).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save

from edgecodec import files
from edgecodec.errors import CheckpointRejected, InvalidArgument
from edgecodec_export.checkpoints.checkpoint import Checkpoint
from edgecodec_export.checkpoints.configuration import configuration_text, parse_configuration
from edgecodec_export.checkpoints.decoder_alone import decoder_of, rest_hash
from edgecodec_export.checkpoints.foreign import DAMAGE
from edgecodec_export.checkpoints.stored_notes import parse_stored_notes
from edgecodec_export.checkpoints.tensor_mismatches import unusable
from edgecodec_export.families import FAMILIES, LearnedCodec
from edgecodec_export.text import first_few

_ANY_FORMAT = "edgecodec-checkpoint-"
FORMAT = f"{_ANY_FORMAT}1"


def save_checkpoint(
    path: Path,
    model: LearnedCodec,
    family: str,
    preset: str,
    notes: Mapping[str, str],
    dtype: torch.dtype = torch.float32,
    *,
    beside: Checkpoint | None = None,
    force: bool = True,
) -> None:
    """Write every tensor of `model` in `dtype`, with the family and configuration that rebuild it.

    preset: what people call that configuration; it need not be one of the family's named ones. notes: in the form of
    `stored_notes`. beside: write the decoder alone, where this checkpoint has all else. force: replace a file that is
    already there.

    Raises OutputExists without `force`, and CannotWrite; `path` is then as it was. Raises InvalidArgument where
    `beside` has another encoder or entropy model.
    """
    tensors = {name: tensor.detach().to(dtype).contiguous() for name, tensor in model.state_dict().items()}
    kind, rest = type(model), {}
    if beside is not None:
        rest = {"rest": rest_hash(kind, beside.tensors)}
        if beside.family != family or rest_hash(kind, tensors) != rest["rest"]:
            raise InvalidArgument("has another encoder or entropy model", where=beside.where)
        tensors = decoder_of(kind, tensors)
    metadata = {
        "format": FORMAT,
        "family": family,
        "preset": preset,
        "configuration": configuration_text(model.preset),
        "notes": json.dumps(dict(notes), sort_keys=True),
        **rest,
    }
    files.write(path, save(tensors, metadata), force=force)


def is_own(path: Path) -> bool:
    """Whether safetensors are a checkpoint of edgecodec, this version's or another's. Damage is left to the reader."""
    try:
        with safe_open(path, framework="pt") as stored:
            return str((stored.metadata() or {}).get("format")).startswith(_ANY_FORMAT)
    except DAMAGE:
        return False


def read_own(path: Path) -> Checkpoint:
    """The checkpoint that `save_checkpoint` wrote to `path`.

    Raises CheckpointRejected for a damaged file, another version of the format, and tensors that are not weights.
    """
    try:
        with safe_open(path, framework="pt") as stored:
            metadata = stored.metadata() or {}
            tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
    except DAMAGE as error:
        raise CheckpointRejected(f"damaged safetensors file: {error}") from error
    if metadata.get("format") != FORMAT:
        raise CheckpointRejected(f"its format is {metadata.get('format')!r}, not {FORMAT!r}", hint="update edgecodec")
    try:
        stored_notes = {str(key): str(value) for key, value in json.loads(metadata["notes"]).items()}
        "".join([*stored_notes, *stored_notes.values()]).encode()  # JSON can escape lone surrogates, which are not text
        family, preset = metadata["family"], metadata["preset"]
    except (KeyError, ValueError, AttributeError, RecursionError) as error:
        raise CheckpointRejected(f"its metadata is incomplete: {error!r}") from error
    configuration = None
    if "configuration" in metadata and family in FAMILIES:
        kind = type(next(iter(FAMILIES[family].PRESETS.values())))
        configuration = parse_configuration(kind, metadata["configuration"])
    problems = [f"{name}: {problem}" for name, tensor in sorted(tensors.items()) if (problem := unusable(tensor))]
    if problems:
        raise CheckpointRejected(
            "holds tensors that are not weights:\n  " + "\n  ".join(first_few(problems, "of them"))
        )
    weights = {name: tensor.float() for name, tensor in tensors.items()}
    notes, classes, left_out = parse_stored_notes(stored_notes)
    rest = metadata.get("rest")
    return Checkpoint(family, preset, notes, weights, configuration, classes, left_out, rest=rest)
