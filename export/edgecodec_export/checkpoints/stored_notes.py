"""A checkpoint's notes, class names and omitted parts as one mapping of text, which is how files on disk hold them.

    "classes"         the class names, joined by commas
    "left out NAME"   the reason why part NAME of the original file was not imported
    anything else     a note

Safetensors metadata of the project's own checkpoints and the provenance in a bundle's manifest have this form.
"""

from __future__ import annotations

from collections.abc import Mapping

from edgecodec_export.checkpoints.checkpoint import Checkpoint

_CLASSES = "classes"
_LEFT_OUT = "left out "


def stored_notes(checkpoint: Checkpoint) -> dict[str, str]:
    """The notes, class names and omitted parts of `checkpoint` in the stored form."""
    classes = {_CLASSES: ",".join(checkpoint.classes)} if checkpoint.classes else {}
    left_out = {f"{_LEFT_OUT}{name}": reason for name, reason in checkpoint.left_out.items()}
    return {**checkpoint.notes, **classes, **left_out}


def parse_stored_notes(stored: Mapping[str, str]) -> tuple[dict[str, str], tuple[str, ...], dict[str, str]]:
    """The notes, class names and omitted parts in what `stored_notes` gave."""
    classes = tuple(filter(None, stored.get(_CLASSES, "").split(",")))
    left_out = {name.removeprefix(_LEFT_OUT): why for name, why in stored.items() if name.startswith(_LEFT_OUT)}
    notes = {name: text for name, text in stored.items() if name != _CLASSES and not name.startswith(_LEFT_OUT)}
    return notes, classes, left_out
