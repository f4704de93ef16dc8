"""Checkpoints on disk to models: the project's own format and, through `importers`, the layouts of other origins.

Nothing that a file contains is ever executed: safetensors and NumPy archives hold only arrays, and PyTorch files are
opened with safe loading.
"""

from __future__ import annotations

from edgecodec_export.checkpoints.checkpoint import Checkpoint
from edgecodec_export.checkpoints.importers.state_dicts import WRAPPING
from edgecodec_export.checkpoints.loading import class_names, load_model, load_models
from edgecodec_export.checkpoints.own_format import save_checkpoint
from edgecodec_export.checkpoints.rate_fits import RATE_FIT, rate_fit_note, rate_fits
from edgecodec_export.checkpoints.reading import read_checkpoint
from edgecodec_export.checkpoints.stored_notes import stored_notes

__all__ = [
    "RATE_FIT",
    "WRAPPING",
    "Checkpoint",
    "class_names",
    "load_model",
    "load_models",
    "rate_fit_note",
    "rate_fits",
    "read_checkpoint",
    "save_checkpoint",
    "stored_notes",
]
