"""Checkpoints of other origins. A new origin is a new module and a line in IMPORTERS."""

from __future__ import annotations

from edgecodec_export.checkpoints.importers.agustsson_tf1 import AgustssonTf1
from edgecodec_export.checkpoints.importers.compressai import CompressAI
from edgecodec_export.checkpoints.importers.crdr import CrdrCheckpoints
from edgecodec_export.checkpoints.importers.fidelity_controllable import FidelityControllable
from edgecodec_export.checkpoints.importers.importer import Importer
from edgecodec_export.checkpoints.importers.justin_tan import JustinTan
from edgecodec_export.checkpoints.importers.neural_compression import NeuralCompression

IMPORTERS: tuple[Importer, ...] = (
    AgustssonTf1(),
    CompressAI(),
    CrdrCheckpoints(),
    FidelityControllable(),
    JustinTan(),
    NeuralCompression(),
)

__all__ = ["IMPORTERS", "Importer"]
