"""Checkpoints of other origins. A new layout is a new module and a line here."""

from __future__ import annotations

from edgecodec.export.importers.base import Checkpoint, Importer

IMPORTERS: tuple[Importer, ...] = ()

__all__ = ["IMPORTERS", "Checkpoint", "Importer"]
