"""Checkpoints of other origins. A new layout is a new module and a line here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from edgecodec_export.checkpoints.importers.agustsson_tf1 import AgustssonTf1
from edgecodec_export.checkpoints.importers.base import Checkpoint, Importer
from edgecodec_export.checkpoints.importers.compressai import CompressAI
from edgecodec_export.checkpoints.importers.crdr import CrdrCheckpoints
from edgecodec_export.checkpoints.importers.fidelity_controllable import FidelityControllable
from edgecodec_export.checkpoints.importers.justin_tan import JustinTan
from edgecodec_export.checkpoints.importers.layout import state_dict_in, state_dict_keys
from edgecodec_export.checkpoints.importers.neural_compression import NeuralCompression

IMPORTERS: tuple[Importer, ...] = (
    AgustssonTf1(),
    CompressAI(),
    CrdrCheckpoints(),
    FidelityControllable(),
    JustinTan(),
    NeuralCompression(),
)

__all__ = ["IMPORTERS", "Checkpoint", "Importer", "closest"]


def closest(importers: Sequence[Importer], content: Mapping[str, Any]) -> Importer:
    """The one in whose layout most of a file's names could be; importers must not be empty."""

    def alike(importer: Importer) -> int:
        names = state_dict_keys(state_dict_in(content, importer.STATE))
        return sum(name.startswith(importer.ROOTS) for name in names)

    return max(importers, key=alike)
