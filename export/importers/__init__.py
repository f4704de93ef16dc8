"""Checkpoints of other origins. A new layout is a new module and a line here."""

from __future__ import annotations

from edgecodec.export.importers.agustsson_tf1 import AgustssonTf1
from edgecodec.export.importers.base import Checkpoint, Importer
from edgecodec.export.importers.compressai import CompressAI
from edgecodec.export.importers.crdr import CrdrCheckpoints
from edgecodec.export.importers.fidelity_controllable import FidelityControllable
from edgecodec.export.importers.justin_tan import JustinTan
from edgecodec.export.importers.neural_compression import NeuralCompression

IMPORTERS: tuple[Importer, ...] = (
    AgustssonTf1(),
    CompressAI(),
    CrdrCheckpoints(),
    FidelityControllable(),
    JustinTan(),
    NeuralCompression(),
)

__all__ = ["IMPORTERS", "Checkpoint", "Importer"]
