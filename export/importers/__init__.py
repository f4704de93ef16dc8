"""Checkpoints of other origins. A new layout is a new module and a line here."""

from __future__ import annotations

from edgecodec.export.importers.agustsson_tf1 import AgustssonTf1
from edgecodec.export.importers.base import Checkpoint, Importer
from edgecodec.export.importers.crdr import CrdrCheckpoints
from edgecodec.export.importers.fidelity_controllable import FidelityControllable

IMPORTERS: tuple[Importer, ...] = (AgustssonTf1(), CrdrCheckpoints(), FidelityControllable())

__all__ = ["IMPORTERS", "Checkpoint", "Importer"]
