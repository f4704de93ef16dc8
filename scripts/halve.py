"""Store a checkpoint in half precision, for shipping; it is computed with in single precision as before."""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from edgecodec_export.checkpoints import load_model, read_checkpoint, save_checkpoint, stored_notes


def halve(source: Path, output: Path) -> None:
    """Raises OutputExists for an output that is there, and what reading the checkpoint raises."""
    checkpoint = read_checkpoint(source)
    notes = stored_notes(checkpoint)
    model = load_model(checkpoint)
    save_checkpoint(output, model, checkpoint.family, checkpoint.preset, notes, torch.float16, force=False)


if __name__ == "__main__":
    halve(*map(Path, sys.argv[1:]))
