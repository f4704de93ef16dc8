"""Reading a checkpoint of any known format: the file's first bytes or its keys decide which."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from edgecodec.errors import CannotRead, CheckpointRejected, EdgecodecError, InvalidArgument
from edgecodec_export.checkpoint_files import examine
from edgecodec_export.checkpoints.checkpoint import Checkpoint
from edgecodec_export.checkpoints.foreign import read_foreign
from edgecodec_export.checkpoints.importers import IMPORTERS
from edgecodec_export.checkpoints.importers.state_dicts import closest, recognised
from edgecodec_export.checkpoints.own_format import is_own, read_own
from edgecodec_export.families import FAMILIES


def read_checkpoint(path: Path, family: str | None = None) -> Checkpoint:
    """Open a checkpoint without running anything it contains.

    family: what the file must be, where recognition is not to decide alone.

    Raises CannotRead if the file is missing or cannot be opened, InvalidArgument for an unknown family, and
    CheckpointRejected if the layout is unknown or not one of the family.
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
    if examine(path) != "safetensors" or not is_own(path):
        return _imported(read_foreign(path), family)
    checkpoint = read_own(path)
    if family not in (None, checkpoint.family):
        raise CheckpointRejected(f"is of family {checkpoint.family}, not {family}")
    return checkpoint


def _imported(content: Mapping[str, Any], family: str | None) -> Checkpoint:
    """What the importer that recognises `content` reads. With a family, the closest of its importers lists misfits."""
    candidates = [importer for importer in IMPORTERS if family in (None, importer.FAMILY)]
    found = recognised(content, candidates)
    if found is None and family is not None and candidates:
        found = closest(content, candidates)
    if found is not None:
        importer, stored = found
        return importer.convert(stored)
    raise CheckpointRejected(
        f"a file in a layout that is not known{f' of {family}' if family else ''} (its keys: {_first_keys(content)})",
        hint="give a checkpoint that edgecodec saved"
        + "".join(f", or one of {each.ORIGIN}" for each in candidates)
        + ("; with --family NAME, what does not fit is listed" if candidates else ""),
    )


def _first_keys(content: Mapping[str, Any]) -> str:
    keys = [str(key) if str(key).isprintable() else ascii(key) for key in content]
    return ", ".join(keys[:4]) + (", ..." if len(keys) > 4 else "") if keys else "none"
