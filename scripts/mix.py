"""Mix the weights of two checkpoints, the second of which was trained from the first.

    python scripts/mix.py BEFORE.safetensors AFTER.safetensors SHARE MIXED.safetensors

SHARE is how much of AFTER there is in the mixture, 0 to 1. Weights that BEFORE lacks are taken from AFTER, as are its
notes, to which one about the mixture is added.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import torch

from edgecodec.errors import InvalidArgument
from edgecodec_export.checkpoints import load_model, read_checkpoint, save_checkpoint, stored_notes


def mix(before: Path, after: Path, share: float, output: Path) -> None:
    """Raises InvalidArgument for a share or checkpoints that do not fit, OutputExists for an output that is there, and
    what reading and saving checkpoints raise."""
    if not 0 <= share <= 1:
        raise InvalidArgument(f"a share of {share:g} is not between 0 and 1", hint="0.5 is the mean of both")
    first, second = read_checkpoint(before), read_checkpoint(after)
    shapes = {name: weights.shape for name, weights in second.tensors.items()}
    if any(shapes.get(name) != weights.shape for name, weights in first.tensors.items()):
        raise InvalidArgument(
            f"has weights that {after} lacks or has in another shape, so was not its start",
            where=str(before),
            hint="give two stages of one run, the earlier one first",
        )
    mixed = {
        name: torch.lerp(first.tensors.get(name, weights), weights, share) if weights.is_floating_point() else weights
        for name, weights in second.tensors.items()
    }
    model = load_model(replace(second, tensors=mixed))
    stage = first.notes.get("stage", "before")
    notes = {**stored_notes(second), "mixture": f"{share:g} of these weights and {1 - share:g} of those of {stage}"}
    save_checkpoint(output, model, second.family, second.preset, notes, force=False)


if __name__ == "__main__":
    mix(Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3]), Path(sys.argv[4]))
