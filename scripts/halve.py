"""Store a checkpoint in half precision, for shipping; it is computed with in single precision as before.

    python scripts/halve.py FULL.safetensors SHIPPED.safetensors [FIRST.safetensors]

FIRST is the other one of a pair as it is shipped. Then the decoder alone is stored, as FIRST has all else.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from edgecodec_export.checkpoints import load_model, read_checkpoint, save_checkpoint, stored_notes


def halve(source: Path, output: Path, first: Path | None = None) -> None:
    """Raises OutputExists for an output that is there, and what reading and saving checkpoints raise."""
    checkpoint = read_checkpoint(source)
    model, notes = load_model(checkpoint), stored_notes(checkpoint)
    beside = None if first is None else read_checkpoint(first)
    family, preset = checkpoint.family, checkpoint.preset
    save_checkpoint(output, model, family, preset, notes, torch.float16, beside=beside, force=False)


if __name__ == "__main__":
    halve(*map(Path, sys.argv[1:]))
